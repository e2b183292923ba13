// SPDX-License-Identifier: Apache-2.0
//
// The bodies of profile.hpp: profiles by name, their values, and from a profile to its writer.
#ifndef WHENCE_IMPL_PROFILE_IPP
#define WHENCE_IMPL_PROFILE_IPP

#include <whence/config.hpp>

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <new>
#include <span>
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
#include <whence/profile.hpp>
#include <whence/profile/attach.hpp>
#include <whence/profile/coroutine_root.hpp>
#include <whence/profile/counters.hpp>
#include <whence/profile/custom.hpp>
#include <whence/profile/header.hpp>
#include <whence/profile/kinds.hpp>
#include <whence/profile/process_state.hpp>
#include <whence/profile/profile.hpp>
#include <whence/profile/record.hpp>
#include <whence/profile/row_source.hpp>
#include <whence/profile/rows.hpp>
#include <whence/profile/snapshot.hpp>
#include <whence/profile/thread_groups.hpp>
#include <whence/profile/thread_state.hpp>
#include <whence/record/recording.hpp>
#include <whence/samplers/thread_dumper.hpp>
#include <whence/sys/as_error.hpp>
#include <whence/sys/keep_frame.hpp>
#include <whence/sys/no_cancel.hpp>
#include <whence/sys/raise.hpp>
#include <whence/sys/sequence.hpp>

namespace whence::inline v1 {

WHENCE_FUNCTION profile* lookup(std::string_view name) noexcept {
  const core::process_state* const s = core::state();
  if (s == nullptr) return nullptr;
  return s->profiles.find(name == "thread" ? "goroutine" : name);
}

WHENCE_FUNCTION std::vector<profile*> profiles() {
  std::vector<profile*> all;
  if (const core::process_state* const s = core::state()) {
    for (profile* p = s->profiles.first(); p != nullptr; p = profile_directory::next(*p)) {
      all.push_back(p);
    }
  }
  sys::sort(all, [](const profile* a, const profile* b) { return a->name() < b->name(); });
  return all;
}

WHENCE_FUNCTION profile& new_profile(std::string name, std::string description) {
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

// Counts threads and coroutines. If there is no memory, coroutines count as 0.
template <class = void>
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

WHENCE_LAZY_FUNCTION std::size_t profile::count() const noexcept {
  if (kind_ == core::kind::goroutine) return core::count_threads();
  if (kind_ != core::kind::custom) return rows().size.load(std::memory_order_relaxed);
  std::int64_t live = 0;
  rows().for_each([&live](const stack::bucket& b) {
    live += b.counters[core::live_counter].load(std::memory_order_relaxed);
  });
  return static_cast<std::size_t>(live < 0 ? 0 : live);
}

namespace core {

// Writes a profile that has buckets as profile.proto.
template <class = void>
inline std::error_code write_rows(process_state& s, const profile& p, sink& out,
                                  write_options options = {}) {
  format::profile_writer writer(out, header_of(p, s), {}, options);
  for_each_row(s, p, [&](const profile_row& row) { writer.add(row); });
  return writer.finish();
}

// The stacks that `goroutine` shows. Throws: std::bad_alloc.
template <class = void>
inline thread_dump dump_threads(process_state& s, const profile& p, const void* caller,
                                samplers::thread_dumper::detail how) {
  samplers::thread_dumper* const dumper = samplers::thread_dumper::get(s);
  if (dumper == nullptr) sys::raise<std::bad_alloc>();
  return dumper->take(p, caller, how);
}

template <class = void>
inline std::error_code write_threads(process_state& s, const profile& p, sink& out, int debug,
                                     write_options options, const void* caller) {
  using samplers::thread_dumper;
  if (debug > 1) {
    const thread_dump dump = dump_threads(s, p, caller, thread_dumper::detail::everything);
    return format::thread_text_writer<>(out, {}, options.names).write(dump);
  }
  const profile_snapshot now = grouped(dump_threads(s, p, caller, thread_dumper::detail::stacks));
  return debug > 0 ? format::write_text(out, now, options) : format::write_proto(out, now, options);
}

}  // namespace core

[[gnu::noinline]] WHENCE_FUNCTION void profile::add(profile_key value, int skip) {
  core::require_custom(*this, "profile::add");
  if (skip < 0) sys::raise<std::logic_error>("profile::add: skip is negative");
  core::process_state* const s = core::state();
  if (s == nullptr) return;
  stack::bucket* const b = core::record_stack(*s, rows(), {}, __builtin_return_address(0),
                                              static_cast<std::size_t>(skip));
  if (b == nullptr) return;
  b->add(core::live_counter, 1);
  switch (core::insert_value(*s, value, b)) {
    case core::insertion::done:
      return;
    case core::insertion::full:  // remove could never find it, so it is taken back
      b->add(core::live_counter, -1);
      s->losses.count(stack::loss::untracked_live);
      return;
    case core::insertion::present:
      b->add(core::live_counter, -1);
      sys::raise<std::invalid_argument>("profile::add: the value is already in profile \"" +
                                        std::string(name_) + "\"");
  }
}

WHENCE_FUNCTION bool profile::remove(profile_key value) {
  core::require_custom(*this, "profile::remove");
  core::process_state* const s = core::state();
  if (s == nullptr) return false;
  stack::bucket* const b = core::erase_value(*s, value, rows().id);
  if (b == nullptr) return false;
  b->add(core::live_counter, -1);
  return true;
}

// Not inlined, because the calling thread's own stack in `goroutine` begins at the caller.
WHENCE_LAZY_FUNCTION [[gnu::noinline]] profile_snapshot profile::snapshot() const {
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

WHENCE_LAZY_FUNCTION [[gnu::noinline]] std::error_code profile::write_to(
    sink out, int debug, write_options options) const {
  core::process_state* const s = core::state();
  if (s == nullptr) return std::make_error_code(std::errc::not_enough_memory);
  const sys::no_cancel uncancelled;
  if (kind_ == core::kind::goroutine) {
    const void* const caller = __builtin_return_address(0);
    return sys::as_error(
        [&] { return core::write_threads(*s, *this, out, debug, options, caller); });
  }
  if (debug <= 0) return core::write_rows(*s, *this, out, options);
  return sys::as_error([&] {
    const auto all = [](const profile_row&) { return true; };
    const core::live_rows rows(*s, *this, core::values_in_text(kind_), all);
    return format::write_text(out, rows, options);
  });
}

// It does not call write_to, so that a program that writes nothing else contains neither the dumper
// of threads nor the writers of text.
WHENCE_LAZY_FUNCTION std::error_code write_heap_profile(sink out) {
  core::process_state* const s = core::state();
  if (s == nullptr) return std::make_error_code(std::errc::not_enough_memory);
  const sys::no_cancel uncancelled;
  return core::write_rows(*s, s->of(core::kind::heap), out);
}

WHENCE_LAZY_FUNCTION std::error_code write_top(sink out, const profile_snapshot& snapshot,
                                               std::size_t most) {
  return sys::as_error([&] {
    const core::kind_info& info = core::info(snapshot.header.kind);
    const std::size_t shown = format::shown_value(info);
    const std::string_view unit = info.values[shown].unit;
    format::function_sums functions(snapshot.header.kind);
    std::int64_t total = 0;
    for (const profile_row& row : snapshot.rows) {
      if (row.values[shown] == 0) continue;
      total += row.values[shown];
      functions.add(row, row.values[shown]);
    }
    const auto share = [total](std::int64_t value) {
      return total == 0 ? 0.0 : 100 * static_cast<double>(value) / static_cast<double>(total);
    };
    std::string table = "      flat  flat%        cum   cum%\n";
    for (const auto& f : std::move(functions).largest(most)) {
      std::array<char, 64> line;
      std::snprintf(line.data(), line.size(), "%10s %5.1f%% %10s %5.1f%%  ",
                    format::human(f.flat, unit).c_str(), share(f.flat),
                    format::human(f.cumulative, unit).c_str(), share(f.cumulative));
      table += line.data() + std::string(f.name) + "\n";
    }
    if (const std::error_code error = out.write(std::as_bytes(std::span(table)))) return error;
    return out.finish();
  });
}

}  // namespace whence::inline v1

#endif  // WHENCE_IMPL_PROFILE_IPP
