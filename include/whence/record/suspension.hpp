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

#include <whence/instruments/recorder.hpp>
#include <whence/profile/attach.hpp>
#include <whence/profile/coroutine_records.hpp>
#include <whence/profile/coroutine_root.hpp>
#include <whence/profile/coroutine_stacks.hpp>
#include <whence/profile/counters.hpp>
#include <whence/profile/logical_stack.hpp>
#include <whence/profile/process_state.hpp>
#include <whence/profile/profile.hpp>
#include <whence/profile/record.hpp>
#include <whence/profile/thread_labels.hpp>
#include <whence/record/wait.hpp>
#include <whence/stack/bucket.hpp>
#include <whence/stack/losses.hpp>
#include <whence/sys/clock.hpp>
#include <whence/sys/loader.hpp>

namespace whence::inline v1::record {

// The records of all coroutines; nullptr if there is no memory for them.
inline core::coroutine_records* coroutines_of(core::process_state& s) noexcept {
  forget_other_threads_after_fork();
  core::coroutine_root* root = s.coroutines.load(std::memory_order_acquire);
  if (root != nullptr) return root->records;
  struct all {
    core::coroutine_root root;
    core::coroutine_records records;
  };
  void* const memory = s.arena.allocate_always(sizeof(all));
  if (memory == nullptr) return nullptr;
  auto* const made =
      ::new (memory) all{{&core::count_coroutines, &core::add_coroutine_waits,
                          &core::add_coroutines, &core::forget_resuming_threads, nullptr},
                         core::coroutine_records(s.live_arena)};
  made->root.records = &made->records;
  // The root points to functions of this module, which must stay loaded.
  sys::pin(&core::own_state);
  const bool is_first =
      s.coroutines.compare_exchange_strong(root, &made->root, std::memory_order_acq_rel);
  return is_first ? &made->records : root->records;
}

// These do the work of instruments::coroutine_life.
inline core::coroutine_record* begin_coroutine(profile* counted, const void* caller) noexcept {
  core::process_state* const s = core::state();
  core::coroutine_records* const all = s == nullptr ? nullptr : coroutines_of(*s);
  if (all == nullptr) return nullptr;
  core::coroutine_record* const r = all->take();
  if (r == nullptr) s->losses.count(stack::loss::untracked_live);
  if (r == nullptr || counted == nullptr) return r;
  stack::bucket* const b = core::record_stack(*s, counted->rows(), {}, caller);
  if (b == nullptr) return r;
  b->add(core::live_counter, 1);
  r->created.store(b, std::memory_order_release);
  return r;
}

inline void end_coroutine(core::coroutine_record& r) noexcept {
  stack::bucket* const b = r.created.load(std::memory_order_relaxed);
  if (b != nullptr) b->add(core::live_counter, -1);
  core::state()->coroutines.load(std::memory_order_relaxed)->records->give_back(r);
}

[[gnu::noinline]] inline stack::bucket* bucket_of(core::process_state& s,
                                                  const core::coroutine_record& r,
                                                  const core::suspension_place& place,
                                                  profile& block) noexcept {
  const auto limit = static_cast<std::size_t>(s.stack_depth.load(std::memory_order_relaxed));
  unwind::trace t{static_cast<std::uintptr_t*>(__builtin_alloca(limit * sizeof(std::uintptr_t))),
                  limit};
  core::suspended_coroutine c;
  c.read(r);
  c.place = place;
  core::append_stack(c, t);
  return s.stacks.record(block.rows(), {{t.pcs, t.depth, t.truncated, false}, 0, 0, place.labels});
}

// These do the work of instruments::suspension.
inline void suspend(core::coroutine_record& r, std::uintptr_t pc, core::suspended how,
                    profile* block, std::uint32_t labels) noexcept {
  core::process_state& s = *core::state();
  core::wait_in_progress w;
  w.since_ns = sys::monotonic_ns();
  w.rate_ns = s.block_rate.load(std::memory_order_relaxed);
  const core::suspension_place place{
      pc, s.label_merges.over(core::labels_of_this_thread(s), labels), how};
  if (block != nullptr && w.rate_ns > 0) w.bucket = bucket_of(s, r, place, *block);
  r.suspend(place, w);
}

inline void resume(core::coroutine_record& r, bool suspended) noexcept {
  core::wait_slot& slot = r.suspension;
  if (suspended) {
    // This comes before the clock is read, as in wait::end.
    slot.count();
    stack::bucket* const b = slot.bucket.load(std::memory_order_relaxed);
    if (b != nullptr) {
      count_wait(*b, sys::monotonic_ns() - slot.since_ns.load(std::memory_order_relaxed),
                 slot.rate_ns.load(std::memory_order_relaxed));
    }
  }
  slot.end();
}

inline void await(core::coroutine_record& callee, core::coroutine_record& caller) noexcept {
  callee.await_from(caller);
}

}  // namespace whence::inline v1::record

#endif  // WHENCE_RECORD_SUSPENSION_HPP
