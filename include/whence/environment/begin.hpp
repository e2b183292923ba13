// SPDX-License-Identifier: Apache-2.0
//
// The beginning and the end of <whence/environment.hpp>: a constructor that costs a look at the
// names of the environment if no variable is meant for the library, and a destructor.
#ifndef WHENCE_ENVIRONMENT_BEGIN_HPP
#define WHENCE_ENVIRONMENT_BEGIN_HPP

#include <dlfcn.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/auxv.h>
#include <unistd.h>

#include <chrono>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>

#include <whence/environment/agent.hpp>
#include <whence/environment/file_name.hpp>
#include <whence/environment/variables.hpp>
#include <whence/instruments/pthread_marker.hpp>
#include <whence/instruments/settings_table.hpp>
#include <whence/state/attach.hpp>
#include <whence/sys/catch_error.hpp>
#include <whence/sys/clock.hpp>
#include <whence/sys/errno_guard.hpp>
#include <whence/sys/inside_library.hpp>

namespace whence::inline v1::environment {

inline bool mentions_library() noexcept {
  for (char* const* entry = environ; entry != nullptr && *entry != nullptr; ++entry) {
    if (std::string_view(*entry).starts_with("WHENCE_")) return true;
  }
  return false;
}

// True if an entry of LD_PRELOAD names the module: by the path with which it was loaded, or by a
// file name alone, which the dynamic linker has looked for.
inline bool names_module(std::string_view entry, std::string_view path) noexcept {
  return entry == path || (entry.find('/') == std::string_view::npos &&
                           entry == path.substr(path.rfind('/') + 1));  // npos + 1 is 0
}

// Takes what makes a child follow us out of the environment: our variables, and this module's entry
// of LD_PRELOAD.
inline void leave_environment() {
  for (const char* const name : settings_reader::names) ::unsetenv(name);
  Dl_info own{};
  const char* const list = ::getenv("LD_PRELOAD");
  if (list == nullptr || ::dladdr(&state::own_state, &own) == 0 || own.dli_fname == nullptr) return;
  std::string rest;
  std::string_view left(list);
  while (!left.empty()) {
    const std::size_t end = left.find_first_of(": ");
    const std::string_view entry = left.substr(0, end);
    left.remove_prefix(end == std::string_view::npos ? left.size() : end + 1);
    if (entry.empty() || names_module(entry, own.dli_fname)) continue;
    if (!rest.empty()) rest += ':';
    rest += entry;
  }
  rest.empty() ? ::unsetenv("LD_PRELOAD") : ::setenv("LD_PRELOAD", rest.c_str(), 1);
}

// True in the first of the processes that inherit our variables from each other. It marks the
// environment, in place if it can: a program may have a copy of the list, but not of the texts.
inline bool is_first_process() noexcept {
  constexpr const char* name = "WHENCE_FOLLOWED";
  char* const mark = ::getenv(name);
  if (mark == nullptr) return ::setenv(name, "1", 1) == 0;
  if (*mark != '0') return false;
  *mark = '1';
  return true;
}

inline void say(const std::string& line) noexcept {
  [[maybe_unused]] const auto n = ::write(STDERR_FILENO, line.data(), line.size());
}

// Refusals are said even without WHENCE_VERBOSE, but stderr is the program's, and of a program that
// its parent started it may be read as the answer: so the first process alone says something. A
// refused variable leaves the environment.
inline void read_and_begin() {
  settings_reader reader(program_invocation_short_name);
  settings asked = reader.read();
  const bool may_say = is_first_process();
  if (may_say) {
    for (const std::string& line : reader.refusals()) say(line);
  }
  if (!asked.follows_execs) leave_environment();
  if (asked.is_other_program) {
    instruments::set(instruments::setting::heap_rate, 0);
    return;
  }
  // The rates have to be read before the program can clear its environment.
  state::process_state& s = state::attached();
  if (!asked.asks_for_anything()) return;
  if (may_say && asked.writes(output::heap) && s.sized.has(instruments::layer::shadowed_malloc)) {
    say("whence: malloc is the program's own: its heap is not seen\n");
  }
  if (instruments::wraps_pthread_create()) s.samplers.births_are_told.store(true);
  const std::chrono::nanoseconds now(sys::wall_time_ns());
  const std::chrono::sys_seconds started(std::chrono::floor<std::chrono::seconds>(now));
  agent::begin(new agent(std::move(asked), time_text(started)));
}

[[gnu::constructor(200)]] inline void begin() noexcept {
  if (::getauxval(AT_SECURE) != 0 || !mentions_library()) return;
  const sys::errno_guard keep;
  const sys::inside_scope inside;
  (void)sys::catch_error([] {
    read_and_begin();
    return std::error_code{};
  });
}

// Without a priority, or the module's own objects would be destroyed before.
[[gnu::destructor]] inline void end() noexcept {
  if (agent* const it = agent::get()) it->finish();
}

// An inline function is emitted only if it is used.
[[gnu::used]] static void (*const used_functions[])() noexcept = {&begin, &end};

}  // namespace whence::inline v1::environment

#endif  // WHENCE_ENVIRONMENT_BEGIN_HPP
