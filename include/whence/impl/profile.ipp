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

#include <whence/core/counters.hpp>
#include <whence/core/kinds.hpp>
#include <whence/core/profile.hpp>
#include <whence/dumps/thread_dumper.hpp>
#include <whence/format/profile_writer.hpp>
#include <whence/format/sink.hpp>
#include <whence/format/text.hpp>
#include <whence/format/thread_text.hpp>
#include <whence/format/top.hpp>
#include <whence/profile.hpp>
#include <whence/record/custom.hpp>
#include <whence/record/record.hpp>
#include <whence/record/recording.hpp>
#include <whence/snapshots/profile_header.hpp>
#include <whence/snapshots/row_source.hpp>
#include <whence/snapshots/rows.hpp>
#include <whence/snapshots/snapshot.hpp>
#include <whence/snapshots/thread_groups.hpp>
#include <whence/snapshots/thread_snapshot.hpp>
#include <whence/state/attach.hpp>
#include <whence/state/coroutine_root.hpp>
#include <whence/state/declared_profiles.hpp>
#include <whence/state/process_state.hpp>
#include <whence/sys/block_tail_call.hpp>
#include <whence/sys/cancel_guard.hpp>
#include <whence/sys/catch_error.hpp>
#include <whence/sys/sequence.hpp>
#include <whence/sys/throw_or_abort.hpp>

namespace whence::inline v1 {

WHENCE_FUNCTION profile* lookup(std::string_view name) noexcept {
  state::process_state* const s = state::state();
  if (s == nullptr) return nullptr;
  if (name == "thread") name = "goroutine";
  if (profile* const known = s->profiles.find(name)) return known;
  state::take_declarations(*s);
  return s->profiles.find(name);
}

WHENCE_FUNCTION std::vector<profile*> profiles() {
  std::vector<profile*> all;
  if (state::process_state* const s = state::state()) {
    state::take_declarations(*s);
    for (profile* p = s->profiles.first(); p != nullptr; p = profile_directory::next(*p)) {
      all.push_back(p);
    }
  }
  sys::sort(all, [](const profile* a, const profile* b) { return a->name() < b->name(); });
  return all;
}

WHENCE_FUNCTION profile& new_profile(std::string name, std::string description) {
  if (name.empty()) sys::throw_or_abort<std::invalid_argument>("new_profile: the name is empty");
  state::process_state* const s = state::state();
  if (s == nullptr) sys::throw_or_abort<std::bad_alloc>();
  const bool alias = name == "thread";
  const auto made = alias ? profile_directory::made{nullptr, false}
                          : s->profiles.find_or_make(name, description, instruments::kind::custom);
  if (alias || (made.it != nullptr && !made.fresh)) {
    sys::throw_or_abort<std::invalid_argument>("new_profile: name \"" + name +
                                               "\" is already in use");
  }
  if (made.it == nullptr) sys::throw_or_abort<std::bad_alloc>();
  return *made.it;
}

namespace impl {

// Counts threads and coroutines. If there is no memory, coroutines count as 0.
template <class = void>
inline std::size_t count_threads() noexcept {
  std::size_t coroutines = 0;
  const state::process_state* const s = state::root.load(std::memory_order_acquire);
  const state::coroutine_root* const r = s == nullptr ? nullptr : s->coroutines.load();
  if (r != nullptr) {
    (void)sys::catch_error([&] {
      coroutines = r->count(*s);
      return std::error_code{};
    });
  }
  return samplers::count_threads() + coroutines;
}

}  // namespace impl

WHENCE_LAZY_FUNCTION std::size_t profile::count() const noexcept {
  if (kind_ == instruments::kind::goroutine) return impl::count_threads();
  if (kind_ != instruments::kind::custom) return rows().size.load(std::memory_order_relaxed);
  std::int64_t live = 0;
  rows().for_each([&live](const tables::bucket& b) {
    live += b.counters[core::live_counter].load(std::memory_order_relaxed);
  });
  return static_cast<std::size_t>(live < 0 ? 0 : live);
}

namespace impl {

// Writes a profile that has buckets as profile.proto.
template <class = void>
inline std::error_code write_rows(state::process_state& s, const profile& p, sink& out,
                                  write_options options = {}) {
  format::profile_writer writer(out, snapshots::header_of(p, s), {}, options);
  snapshots::for_each_row(s, p, [&](const profile_row& row) { writer.add(row); });
  return writer.finish();
}

// The stacks that `goroutine` shows. Throws: std::bad_alloc.
template <class = void>
inline snapshots::thread_dump dump_threads(state::process_state& s, const profile& p,
                                           const void* caller, dumps::thread_dumper::detail how) {
  dumps::thread_dumper* const dumper = dumps::thread_dumper::get(s);
  if (dumper == nullptr) sys::throw_or_abort<std::bad_alloc>();
  return dumper->take(p, caller, how);
}

template <class = void>
inline std::error_code write_threads(state::process_state& s, const profile& p, sink& out,
                                     int debug, write_options options, const void* caller) {
  using dumps::thread_dumper;
  if (debug > 1) {
    const snapshots::thread_dump dump =
        dump_threads(s, p, caller, thread_dumper::detail::everything);
    return format::thread_text_writer<>(out, {}, options.names).write(dump);
  }
  const profile_snapshot now =
      snapshots::grouped(dump_threads(s, p, caller, thread_dumper::detail::stacks));
  return debug > 0 ? format::write_text(out, now, options) : format::write_proto(out, now, options);
}

}  // namespace impl

[[gnu::noinline]] WHENCE_FUNCTION void profile::add(profile_key value, int skip) {
  record::require_custom(*this, "profile::add");
  if (skip < 0) sys::throw_or_abort<std::logic_error>("profile::add: skip is negative");
  state::process_state* const s = state::state();
  if (s == nullptr) return;
  tables::bucket* const b = record::record_stack(*s, rows(), {}, __builtin_return_address(0),
                                                 static_cast<std::size_t>(skip));
  if (b == nullptr) return;
  b->add(core::live_counter, 1);
  switch (record::insert_value(*s, value, b)) {
    case tables::insertion::done:
      return;
    case tables::insertion::full:  // remove could never find it, so it is taken back
      b->add(core::live_counter, -1);
      s->losses.count(tables::loss::untracked_live);
      return;
    case tables::insertion::present:
      b->add(core::live_counter, -1);
      sys::throw_or_abort<std::invalid_argument>(
          "profile::add: the value is already in profile \"" + std::string(name_) + "\"");
  }
}

WHENCE_FUNCTION bool profile::remove(profile_key value) {
  record::require_custom(*this, "profile::remove");
  state::process_state* const s = state::state();
  if (s == nullptr) return false;
  tables::bucket* const b = record::erase_value(*s, value, rows().id);
  if (b == nullptr) return false;
  b->add(core::live_counter, -1);
  return true;
}

// Not inlined, because the calling thread's own stack in `goroutine` begins at the caller.
WHENCE_LAZY_FUNCTION [[gnu::noinline]] profile_snapshot profile::snapshot() const {
  profile_snapshot result;
  state::process_state* const s = state::state();
  if (s == nullptr) return result;
  if (kind_ == instruments::kind::goroutine) {
    result = snapshots::grouped(impl::dump_threads(*s, *this, __builtin_return_address(0),
                                                   dumps::thread_dumper::detail::stacks));
    sys::block_tail_call();
    return result;
  }
  result.header = snapshots::header_of(*this, *s);
  snapshots::for_each_row(*s, *this, [&](const profile_row& row) { result.rows.push_back(row); });
  return result;
}

WHENCE_LAZY_FUNCTION [[gnu::noinline]] std::error_code profile::write_to(
    sink out, int debug, write_options options) const {
  state::process_state* const s = state::state();
  if (s == nullptr) return std::make_error_code(std::errc::not_enough_memory);
  const sys::cancel_guard uncancelled;
  if (kind_ == instruments::kind::goroutine) {
    const void* const caller = __builtin_return_address(0);
    return sys::catch_error(
        [&] { return impl::write_threads(*s, *this, out, debug, options, caller); });
  }
  if (debug <= 0) return impl::write_rows(*s, *this, out, options);
  return sys::catch_error([&] {
    const auto all = [](const profile_row&) { return true; };
    const snapshots::live_rows rows(*s, *this, snapshots::values_in_text(kind_), all);
    return format::write_text(out, rows, options);
  });
}

// It does not call write_to, so that a program that writes nothing else contains neither the dumper
// of threads nor the writers of text.
WHENCE_LAZY_FUNCTION std::error_code write_heap_profile(sink out) {
  state::process_state* const s = state::state();
  if (s == nullptr) return std::make_error_code(std::errc::not_enough_memory);
  const sys::cancel_guard uncancelled;
  return impl::write_rows(*s, s->of(instruments::kind::heap), out);
}

WHENCE_LAZY_FUNCTION std::error_code write_top(sink out, const profile_snapshot& snapshot,
                                               std::size_t most) {
  return sys::catch_error([&] {
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
