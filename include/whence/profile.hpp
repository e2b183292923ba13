// SPDX-License-Identifier: Apache-2.0
//
// Profiles by name: look them up, make your own, write them.
//
//   whence::profile& files = whence::new_profile("app.files");
//   files.add(fd);  ...  files.remove(fd);
//   if (auto error = whence::lookup("heap")->write_to("heap.pb.gz")) ...
//
//   $ go tool pprof -top heap.pb.gz
//
// Predefined (whence::lookup gives nullptr for a name there is none of):
//   allocs        a sampling of all past memory allocations
//   block         stack traces that led to blocking on synchronization primitives
//   goroutine     stack traces of all current threads; also as "thread"
//   heap          a sampling of memory allocations of live objects
//   mutex         stack traces of holders of contended mutexes
//   threadcreate  stack traces that led to the creation of new OS threads
//
// A name is a string without spaces, by convention with a prefix: "app.sessions". Everything here
// is thread-safe and concurrent with recording; nothing is for signal handlers. (Go: runtime/pprof)
#ifndef WHENCE_PROFILE_PAGE_HPP
#define WHENCE_PROFILE_PAGE_HPP

#include <whence/config.hpp>

#include <new>
#include <stdexcept>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include <whence/format/profile_writer.hpp>
#include <whence/format/sink.hpp>
#include <whence/format/text.hpp>
#include <whence/format/thread_text.hpp>
#include <whence/format/top.hpp>
#include <whence/knobs.hpp>
#include <whence/names.hpp>
#include <whence/profile/attach.hpp>
#include <whence/profile/coroutine_root.hpp>
#include <whence/profile/counters.hpp>
#include <whence/profile/custom.hpp>
#include <whence/profile/header.hpp>
#include <whence/profile/process_state.hpp>
#include <whence/profile/profile.hpp>
#include <whence/profile/rows.hpp>
#include <whence/profile/snapshot.hpp>
#include <whence/profile/thread_groups.hpp>
#include <whence/profile/thread_state.hpp>
#include <whence/samplers/thread_dumper.hpp>
#include <whence/sys/as_error.hpp>
#include <whence/sys/keep_frame.hpp>
#include <whence/sys/no_cancel.hpp>
#include <whence/sys/raise.hpp>
#include <whence/sys/sequence.hpp>

namespace whence::inline v1 {

// The profile of that name; nullptr where there is none.
inline profile* lookup(std::string_view name) noexcept {
  const core::process_state* const s = core::state();
  if (s == nullptr) return nullptr;
  return s->profiles.find(name == "thread" ? "goroutine" : name);
}

// Every profile, sorted by name.
inline std::vector<profile*> profiles() {
  std::vector<profile*> all;
  if (const core::process_state* const s = core::state()) {
    for (profile* p = s->profiles.first(); p != nullptr; p = profile_directory::next(*p)) {
      all.push_back(p);
    }
  }
  sys::sort(all, [](const profile* a, const profile* b) { return a->name() < b->name(); });
  return all;
}

// A custom profile, which lives as long as the process.
// Throws: std::invalid_argument where the name is empty or in use; std::bad_alloc.
inline profile& new_profile(std::string name, std::string description = {}) {
  if (name.empty()) sys::raise<std::invalid_argument>("new_profile: the name is empty");
  core::process_state* const s = core::state();
  if (s == nullptr) sys::raise<std::bad_alloc>();
  const bool alias = name == "thread";
  const auto made = alias ? profile_directory::made{nullptr, false}
                          : s->profiles.find_or_make(name, description, core::kind::custom);
  if (alias || (made.it != nullptr && !made.fresh)) {
    sys::raise<std::invalid_argument>("new_profile: name \"" + name + "\" is already in use");
  }
  if (made.it == nullptr) sys::raise<std::bad_alloc>();
  return *made.it;
}

namespace core {
// And coroutines. 0 of these where there is no memory.
inline std::size_t count_threads() noexcept {
  std::size_t coroutines = 0;
  const process_state* const s = root.load(std::memory_order_acquire);
  const coroutine_root* const r = s == nullptr ? nullptr : s->coroutines.load();
  if (r != nullptr) {
    (void)sys::as_error([&] {
      coroutines = r->count(*s);
      return std::error_code{};
    });
  }
  return samplers::count_threads() + coroutines;
}
}  // namespace core

inline std::size_t profile::count() const noexcept {
  if (kind_ == core::kind::goroutine) return core::count_threads();
  if (kind_ != core::kind::custom) return rows_->size.load(std::memory_order_relaxed);
  std::int64_t live = 0;
  rows_->for_each([&live](const stack::bucket& b) {
    live += b.counters[core::live_counter].load(std::memory_order_relaxed);
  });
  return static_cast<std::size_t>(live < 0 ? 0 : live);
}

namespace core {

// Of `goroutine`. Throws: std::bad_alloc.
inline thread_dump dump_threads(process_state& s, const profile& p, const void* caller,
                                samplers::thread_dumper::detail how) {
  samplers::thread_dumper* const dumper = samplers::thread_dumper::get(s);
  if (dumper == nullptr) sys::raise<std::bad_alloc>();
  return dumper->take(p, caller, how);
}

inline std::error_code write_threads(process_state& s, const profile& p, sink& out, int debug,
                                     const void* caller) {
  using samplers::thread_dumper;
  if (debug > 1) {
    const thread_dump dump = dump_threads(s, p, caller, thread_dumper::detail::everything);
    return format::thread_text_writer<>(out).write(dump);
  }
  const profile_snapshot now = grouped(dump_threads(s, p, caller, thread_dumper::detail::stacks));
  if (debug > 0) return format::write_text(out, now);
  format::profile_writer writer(out, now.header);
  for (const profile_row& row : now.rows) writer.add(row);
  return writer.finish();
}

}  // namespace core

// Not inlined: the calling thread's own stack in `goroutine` begins at the caller.
[[gnu::noinline]] inline profile_snapshot profile::snapshot() const {
  profile_snapshot result;
  core::process_state* const s = core::state();
  if (s == nullptr) return result;
  if (kind_ == core::kind::goroutine) {
    result = core::grouped(core::dump_threads(*s, *this, __builtin_return_address(0),
                                              samplers::thread_dumper::detail::stacks));
    sys::keep_frame();
    return result;
  }
  result.header = core::header_of(*this, *s);
  core::for_each_row(*s, *this, [&](const profile_row& row) { result.rows.push_back(row); });
  return result;
}

[[gnu::noinline]] inline std::error_code profile::write_to(sink out, int debug) const {
  core::process_state* const s = core::state();
  if (s == nullptr) return std::make_error_code(std::errc::not_enough_memory);
  const sys::no_cancel uncancelled;
  if (kind_ == core::kind::goroutine) {
    const void* const caller = __builtin_return_address(0);
    return sys::as_error([&] { return core::write_threads(*s, *this, out, debug, caller); });
  }
  if (debug > 0) return format::write_text(out, snapshot());
  format::profile_writer writer(out, core::header_of(*this, *s));
  core::for_each_row(*s, *this, [&](const profile_row& row) { writer.add(row); });
  return writer.finish();
}

// Writes `heap` as debug 0 does. (Go: pprof.WriteHeapProfile)
[[nodiscard]] inline std::error_code write_heap_profile(sink out) {
  const profile* const heap = lookup("heap");
  if (heap == nullptr) return std::make_error_code(std::errc::not_enough_memory);
  return heap->write_to(std::move(out));
}

}  // namespace whence::inline v1

#endif  // WHENCE_PROFILE_PAGE_HPP
