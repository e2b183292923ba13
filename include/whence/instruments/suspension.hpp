// SPDX-License-Identifier: Apache-2.0
//
// A tracked coroutine, and one suspension of it, from just before it can be resumed until it is.
// One that waits for something is an event of the profile `block`, as a thread's wait is
// (wait.hpp), at the logical stack it has when it begins.
//
// Thread-safe as a coroutine is: one thread at a time. Not for signal handlers. Never allocates
// from the heap, never throws.
#ifndef WHENCE_INSTRUMENTS_SUSPENSION_HPP
#define WHENCE_INSTRUMENTS_SUSPENSION_HPP

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <new>

#include <whence/instruments/wait.hpp>
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
#include <whence/stack/bucket.hpp>
#include <whence/stack/losses.hpp>
#include <whence/sys/clock.hpp>
#include <whence/sys/once_root.hpp>

namespace whence::inline v1::instruments {

// The records of all coroutines; nullptr where there is no memory for them.
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
                         core::coroutine_records(s.arena)};
  made->root.records = &made->records;
  // Its functions are this module's.
  sys::pin(&core::own_state);
  const bool is_first =
      s.coroutines.compare_exchange_strong(root, &made->root, std::memory_order_acq_rel);
  return is_first ? &made->records : root->records;
}

// A record that is held.
class coroutine_life {
 public:
  coroutine_life() noexcept = default;
  ~coroutine_life() { end(); }
  coroutine_life(const coroutine_life&) = delete;
  coroutine_life& operator=(const coroutine_life&) = delete;

  // nullptr where it is not tracked: before begin, and where there was no memory (counted so).
  core::coroutine_record* record() const noexcept { return record_; }

  void begin() noexcept {
    core::process_state* const s = core::state();
    core::coroutine_records* const all = s == nullptr ? nullptr : coroutines_of(*s);
    if (all == nullptr) return;
    record_ = all->take();
    if (record_ == nullptr) s->losses.count(stack::loss::untracked_live);
  }

  // Of one in `profile`, at the stack that begins at the frame that returns to `caller`. Requires:
  // as unwind::capture.
  void begin(profile& p, const void* caller) noexcept {
    begin();
    if (record_ == nullptr) return;
    stack::bucket* const b = core::record_stack(*core::state(), p.rows(), {}, caller);
    if (b == nullptr) return;
    b->add(core::live_counter, 1);
    record_->created.store(b, std::memory_order_release);
  }

  void end() noexcept {
    if (record_ == nullptr) return;
    stack::bucket* const b = record_->created.load(std::memory_order_relaxed);
    if (b != nullptr) b->add(core::live_counter, -1);
    core::state()->coroutines.load(std::memory_order_relaxed)->records->give_back(*record_);
    record_ = nullptr;
  }

 private:
  core::coroutine_record* record_ = nullptr;
};

class suspension {
 public:
  suspension() noexcept = default;
  // The coroutine is destroyed where it is: it has waited until now.
  ~suspension() { end(); }
  suspension(const suspension&) = delete;
  suspension& operator=(const suspension&) = delete;

  // `block`: nullptr, or the profile of the wait this is, with these labels.
  void begin(core::coroutine_record& r, core::suspension_place place, profile* block,
             std::uint32_t labels) noexcept {
    core::process_state& s = *core::state();
    core::wait_in_progress w;
    w.since_ns = sys::monotonic_ns();
    w.rate_ns = s.block_rate.load(std::memory_order_relaxed);
    place.labels = s.label_merges.over(core::labels_of_this_thread(s), labels);
    if (block != nullptr && w.rate_ns > 0) w.bucket = bucket_of(s, r, place, *block);
    record_ = &r;
    r.suspend(place, w);
  }

  // Its coroutine goes on.
  void end() noexcept {
    if (record_ == nullptr) return;
    core::wait_slot& slot = record_->suspension;
    record_ = nullptr;
    // Before the clock is read, as in wait::end.
    slot.count();
    stack::bucket* const b = slot.bucket.load(std::memory_order_relaxed);
    if (b != nullptr) {
      count_wait(*b, sys::monotonic_ns() - slot.since_ns.load(std::memory_order_relaxed),
                 slot.rate_ns.load(std::memory_order_relaxed));
    }
    slot.end();
  }

  // It did not suspend after all: that was no wait, though a profile may have shown it.
  void cancel() noexcept {
    if (record_ != nullptr) record_->suspension.end();
    record_ = nullptr;
  }

 private:
  [[gnu::noinline]] static stack::bucket* bucket_of(core::process_state& s,
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
    return s.stacks.record(block.rows(),
                           {{t.pcs, t.depth, t.truncated, false}, 0, 0, place.labels});
  }

  core::coroutine_record* record_ = nullptr;
};

}  // namespace whence::inline v1::instruments

#endif  // WHENCE_INSTRUMENTS_SUSPENSION_HPP
