// SPDX-License-Identifier: Apache-2.0
//
// The data of a tracked coroutine and of its suspensions (instruments/suspension.hpp). A suspension
// that waits for something is an event of the profile `block`, as a thread's wait is (wait.hpp), at
// the logical stack that the coroutine has when it begins.
//
// Thread-safe as a coroutine is: one thread at a time. Not for signal handlers. Never allocates
// from the heap, never throws.
#ifndef WHENCE_RECORD_SUSPENSION_HPP
#define WHENCE_RECORD_SUSPENSION_HPP

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <new>

#include <whence/core/counters.hpp>
#include <whence/core/profile.hpp>
#include <whence/instruments/recorder.hpp>
#include <whence/record/event.hpp>
#include <whence/record/wait.hpp>
#include <whence/snapshots/coroutine_snapshot.hpp>
#include <whence/state/attach.hpp>
#include <whence/state/guest.hpp>
#include <whence/state/process_state.hpp>
#include <whence/state/thread_labels.hpp>
#include <whence/sys/clock.hpp>
#include <whence/sys/loader.hpp>
#include <whence/sys/publish_once.hpp>
#include <whence/tables/bucket.hpp>
#include <whence/tables/coroutine_records.hpp>
#include <whence/tables/logical_stack.hpp>
#include <whence/tables/losses.hpp>

namespace whence::inline v1::record {

// The records of all coroutines; nullptr if there is no memory for them.
inline tables::coroutine_records* coroutines_of(state::process_state& s) noexcept {
  if (!s.guests.has(state::guest_list::coroutines)) {
    // The guest's functions belong to this module, which must stay loaded.
    sys::keep_loaded(&state::own_state);
    if (sys::publish_once(s.arena, s.coroutines, s.live_arena) == nullptr) return nullptr;
    s.guests.enter(state::guest_list::coroutines, snapshots::coroutine_guest<>);
  }
  return s.coroutines.load(std::memory_order_acquire);
}

// These do the work of instruments::coroutine_life.
inline tables::coroutine_record* begin_coroutine(profile* counted, const void* caller) noexcept {
  state::process_state& s = state::attached();
  tables::coroutine_records* const all = coroutines_of(s);
  if (all == nullptr) return nullptr;
  tables::coroutine_record* const r = all->take();
  if (r == nullptr) s.losses.count(tables::loss::untracked_live);
  if (r == nullptr || counted == nullptr) return r;
  tables::bucket* const b = record_stack(s, counted->rows(), {}, caller);
  if (b == nullptr) return r;
  b->add(core::live_counter, 1);
  r->created.store(b, std::memory_order_release);
  return r;
}

inline void end_coroutine(tables::coroutine_record& r) noexcept {
  tables::bucket* const b = r.created.load(std::memory_order_relaxed);
  if (b != nullptr) b->add(core::live_counter, -1);
  state::attached().coroutines.load(std::memory_order_relaxed)->give_back(r);
}

[[gnu::noinline]] inline tables::bucket* bucket_of(state::process_state& s,
                                                   const tables::coroutine_record& r,
                                                   const tables::suspension_place& place,
                                                   profile& block) noexcept {
  const auto limit = static_cast<std::size_t>(s.stack_depth.load(std::memory_order_relaxed));
  unwind::trace t{static_cast<std::uintptr_t*>(__builtin_alloca(limit * sizeof(std::uintptr_t))),
                  limit};
  tables::suspended_coroutine c;
  c.read(r);
  c.place = place;
  tables::append_stack(c, t);
  return s.stacks.record(block.rows(), {{t.pcs, t.depth, t.truncated, false}, 0, 0, place.labels});
}

// These do the work of instruments::suspension.
inline void suspend(tables::coroutine_record& r, std::uintptr_t pc, instruments::suspended how,
                    profile* block, std::uint32_t labels) noexcept {
  state::process_state& s = state::attached();
  tables::wait_in_progress w;
  w.since_ns = sys::monotonic_ns();
  w.rate_ns = s.block_rate.load(std::memory_order_relaxed);
  const tables::suspension_place place{
      pc, s.label_merges.over(state::labels_of_this_thread(s), labels), how};
  if (block != nullptr && w.rate_ns > 0) w.bucket = bucket_of(s, r, place, *block);
  r.suspend(place, w);
}

inline void resume(tables::coroutine_record& r, bool suspended) noexcept {
  tables::wait_slot& slot = r.suspension;
  if (suspended) {
    // This comes before the clock is read, as in wait::end.
    slot.count();
    tables::bucket* const b = slot.bucket.load(std::memory_order_relaxed);
    if (b != nullptr) {
      count_wait(*b, sys::monotonic_ns() - slot.since_ns.load(std::memory_order_relaxed),
                 slot.rate_ns.load(std::memory_order_relaxed));
    }
  }
  slot.end();
}

inline void await(tables::coroutine_record& callee, tables::coroutine_record& caller) noexcept {
  callee.await_from(caller);
}

}  // namespace whence::inline v1::record

#endif  // WHENCE_RECORD_SUSPENSION_HPP
