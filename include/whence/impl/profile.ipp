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
#include <whence/format/sink.hpp>
#include <whence/format/top.hpp>
#include <whence/kinds/all.hpp>
#include <whence/kinds/from_buckets.hpp>
#include <whence/profile.hpp>
#include <whence/record/custom.hpp>
#include <whence/record/event.hpp>
#include <whence/record/recording.hpp>
#include <whence/snapshots/snapshot.hpp>
#include <whence/state/attach.hpp>
#include <whence/state/declared_profiles.hpp>
#include <whence/state/process_state.hpp>
#include <whence/sys/algorithms.hpp>
#include <whence/sys/block_tail_call.hpp>
#include <whence/sys/cancel_guard.hpp>
#include <whence/sys/catch_error.hpp>
#include <whence/sys/throw_or_abort.hpp>

namespace whence::inline v1 {

WHENCE_FUNCTION profile* lookup(std::string_view name) noexcept {
  state::process_state& s = state::attached();
  if (name == "thread") name = "goroutine";
  if (profile* const known = s.profiles.find(name)) return known;
  state::take_declarations(s);
  return s.profiles.find(name);
}

WHENCE_FUNCTION std::vector<profile*> profiles() {
  std::vector<profile*> all;
  state::process_state& s = state::attached();
  state::take_declarations(s);
  for (profile* p = s.profiles.first(); p != nullptr; p = profile_directory::next(*p)) {
    all.push_back(p);
  }
  sys::sort(all, [](const profile* a, const profile* b) { return a->name() < b->name(); });
  return all;
}

WHENCE_FUNCTION profile& new_profile(std::string name, std::string description) {
  if (name.empty()) sys::throw_or_abort<std::invalid_argument>("new_profile: the name is empty");
  state::process_state& s = state::attached();
  const bool alias = name == "thread";
  const auto made = alias ? profile_directory::made{nullptr, false}
                          : s.profiles.find_or_make(name, description, instruments::kind::custom);
  if (alias || (made.it != nullptr && !made.fresh)) {
    sys::throw_or_abort<std::invalid_argument>("new_profile: name \"" + name +
                                               "\" is already in use");
  }
  if (made.it == nullptr) sys::throw_or_abort<std::bad_alloc>();
  return *made.it;
}

WHENCE_LAZY_FUNCTION std::size_t profile::count() const noexcept {
  return kinds::with_reader(kind_, [this](auto reader) { return reader.count(*this); });
}

[[gnu::noinline]] WHENCE_FUNCTION void profile::add(profile_key value, int skip) {
  record::require_custom(*this, "profile::add");
  if (skip < 0) sys::throw_or_abort<std::logic_error>("profile::add: skip is negative");
  state::process_state& s = state::attached();
  tables::bucket* const b = record::record_stack(s, rows(), {}, __builtin_return_address(0),
                                                 static_cast<std::size_t>(skip));
  if (b == nullptr) return;
  b->add(core::live_counter, 1);
  switch (record::insert_value(s, value, b)) {
    case tables::insertion::done:
      return;
    case tables::insertion::full:  // remove could never find it, so it is taken back
      b->add(core::live_counter, -1);
      s.losses.count(tables::loss::untracked_live);
      return;
    case tables::insertion::present:
      b->add(core::live_counter, -1);
      sys::throw_or_abort<std::invalid_argument>(
          "profile::add: the value is already in profile \"" + std::string(name_) + "\"");
  }
}

WHENCE_FUNCTION bool profile::remove(profile_key value) {
  record::require_custom(*this, "profile::remove");
  tables::bucket* const b = record::erase_value(state::attached(), value, rows().id);
  if (b == nullptr) return false;
  b->add(core::live_counter, -1);
  return true;
}

// Not inlined, because the calling thread's own stack in `goroutine` begins at the caller.
WHENCE_LAZY_FUNCTION [[gnu::noinline]] profile_snapshot profile::snapshot() const {
  state::process_state& s = state::attached();
  const void* const caller = __builtin_return_address(0);
  profile_snapshot result =
      kinds::with_reader(kind_, [&](auto reader) { return reader.snapshot(s, *this, caller); });
  sys::block_tail_call();
  return result;
}

WHENCE_LAZY_FUNCTION [[gnu::noinline]] std::error_code profile::write_to(
    sink out, int debug, write_options options) const {
  state::process_state& s = state::attached();
  const sys::cancel_guard uncancelled;
  const void* const caller = __builtin_return_address(0);
  return kinds::with_reader(
      kind_, [&](auto reader) { return reader.write(s, *this, out, debug, options, caller); });
}

// It does not call write_to, so that a program that writes nothing else contains neither the dumper
// of threads nor the writers of text.
WHENCE_LAZY_FUNCTION std::error_code write_heap_profile(sink out) {
  state::process_state& s = state::attached();
  const sys::cancel_guard uncancelled;
  return kinds::from_buckets::write_proto(s, s.of(instruments::kind::heap), out);
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
