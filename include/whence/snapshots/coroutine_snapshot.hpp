// SPDX-License-Identifier: Apache-2.0
//
// The coroutines of a dump: those that are suspended and await no suspended coroutine, because the
// others are in the stack of the one that they wait for.
#ifndef WHENCE_SNAPSHOTS_COROUTINE_SNAPSHOT_HPP
#define WHENCE_SNAPSHOTS_COROUTINE_SNAPSHOT_HPP

#include <sys/types.h>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include <whence/snapshots/thread_snapshot.hpp>
#include <whence/snapshots/waits_in_progress.hpp>
#include <whence/state/guest.hpp>
#include <whence/state/process_state.hpp>
#include <whence/sys/algorithms.hpp>
#include <whence/sys/clock.hpp>
#include <whence/sys/vector.hpp>
#include <whence/tables/coroutine_records.hpp>
#include <whence/tables/logical_stack.hpp>
#include <whence/unwind/trace.hpp>

namespace whence::inline v1::snapshots {

// No thread has so high a number (kernel: PID_MAX_LIMIT).
inline constexpr ::pid_t first_coroutine = 1 << 22;

// Finds those at the inner end of each chain, and one of each circle of coroutines that await each
// other. Requires: the process has records of coroutines. Throws: std::bad_alloc.
template <class = void>
inline sys::vector<tables::suspended_coroutine> suspended_leaves(const state::process_state& s) {
  sys::vector<tables::suspended_coroutine> all;
  s.coroutines.load(std::memory_order_acquire)->for_each([&](const tables::coroutine_record& r) {
    tables::suspended_coroutine c;
    if (c.read(r)) all.push_back(c);
  });
  sys::sort(all, [](const auto& a, const auto& b) { return a.self.record < b.self.record; });
  constexpr std::size_t none = static_cast<std::size_t>(-1);
  const auto awaiter_of = [&](std::size_t i) {
    tables::suspended_coroutine awaiter;
    if (!tables::read_awaiter(all[i], awaiter)) return none;
    const std::size_t after = sys::first_after(all, [&](const tables::suspended_coroutine& c) {
      return c.self.record > awaiter.self.record;
    });
    return after > 0 && all[after - 1].self == awaiter.self ? after - 1 : none;
  };
  sys::vector<std::size_t> awaiters(all.size());
  sys::vector<bool> awaits(all.size()), is_shown(all.size());
  for (std::size_t i = 0; i < all.size(); ++i) {
    awaiters[i] = awaiter_of(i);
    if (awaiters[i] != none) awaits[awaiters[i]] = true;
  }
  sys::vector<tables::suspended_coroutine> leaves;
  const auto show = [&](std::size_t leaf) {
    leaves.push_back(all[leaf]);
    for (std::size_t i = leaf; i != none && !is_shown[i]; i = awaiters[i]) is_shown[i] = true;
  };
  for (std::size_t i = 0; i < all.size(); ++i) {
    if (!awaits[i]) show(i);
  }
  for (std::size_t i = 0; i < all.size(); ++i) {
    if (!is_shown[i]) show(i);
  }
  return leaves;
}

// The functions of the guest (state/guest.hpp).
template <class = void>
inline std::size_t count_coroutines(const state::process_state& s) {
  return suspended_leaves(s).size();
}

template <class = void>
inline void add_coroutine_waits(const state::process_state& s, waits_in_progress& waits) {
  s.coroutines.load(std::memory_order_acquire)->for_each([&](const tables::coroutine_record& r) {
    r.suspension.visit(waits);
  });
}

// Takes the stack of `c`. If `c` has gone on since it was read, `c` becomes its next suspension, or
// the coroutine that awaits it. False if neither is suspended.
template <class = void>
inline bool read_stack(tables::suspended_coroutine& c, unwind::trace& t) noexcept {
  for (int attempt = 0; attempt < 8; ++attempt) {
    t.depth = 0;
    t.truncated = false;
    tables::append_stack(c, t);
    if (c.goes_on()) return true;
    const tables::suspended_coroutine before = c;
    if (c.read(*before.self.record) && c.self == before.self) continue;
    if (!tables::read_awaiter(before, c)) return false;
  }
  return false;
}

template <class = void>
inline void add_coroutines(const state::process_state& s, const dump_parts& dump) {
  std::vector<std::uintptr_t> pcs(dump.most_frames);
  const std::int64_t now = sys::monotonic_ns();
  for (tables::suspended_coroutine c : suspended_leaves(s)) {
    unwind::trace t{pcs.data(), pcs.size()};
    if (!read_stack(c, t)) continue;
    placed_thread p;
    p.it.tid = first_coroutine + static_cast<::pid_t>(c.self.record->number);
    p.it.is_coroutine = true;
    p.it.state = c.place.how == instruments::suspended::waiting ? "waiting"
                 : c.place.how == instruments::suspended::idly  ? "idle"
                                                                : "not started";
    p.it.waited_ns = now > c.since_ns ? now - c.since_ns : 0;
    p.it.label_set = c.place.labels;
    p.it.stack.truncated = t.truncated;
    p.first_frame = dump.frames.size();
    p.depth = t.depth;
    for (std::size_t i = 0; i < t.depth; ++i) dump.frames.push_back(t.pcs[i]);
    dump.threads.push_back(std::move(p));
  }
}

// It enters once the process has records.
template <class = void>
inline constexpr state::guest coroutine_guest{.count = &count_coroutines<>,
                                              .add_stacks = &add_coroutines<>,
                                              .add_waits = &add_coroutine_waits<>};

}  // namespace whence::inline v1::snapshots

#endif  // WHENCE_SNAPSHOTS_COROUTINE_SNAPSHOT_HPP
