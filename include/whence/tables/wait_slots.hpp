// SPDX-License-Identifier: Apache-2.0
//
// The waits that are going on now, one in a slot of one cache line, so that a profile can count
// them as far as they have gone. Slots never move and are never freed (tables/stable_array.hpp);
// there are more when all are taken.
//
// A slot is taken by one compare-and-swap and then belongs to its thread, which comes back to the
// same one. Its `sequence` tells the state of its wait, and grows by 4 with each:
//
//   4k: none     4k+1: goes on     4k+2: is over, and is being counted in its bucket     4k+4: none
//
// A reader that finds the same number before and after, or that of the next state of the same wait,
// has read one wait.
//
// Thread-safe, lock-free. Never allocates from the heap, never throws.
#ifndef WHENCE_TABLES_WAIT_SLOTS_HPP
#define WHENCE_TABLES_WAIT_SLOTS_HPP

#include <pthread.h>

#include <atomic>
#include <cstddef>
#include <cstdint>

#include <whence/instruments/lock_holder.hpp>
#include <whence/instruments/wait_queue.hpp>
#include <whence/sys/arena.hpp>
#include <whence/sys/mix64.hpp>
#include <whence/sys/thread_local.hpp>
#include <whence/tables/bucket.hpp>
#include <whence/tables/stable_array.hpp>

namespace whence::inline v1::tables {

// The data of a wait.
struct wait_in_progress {
  tables::bucket* bucket = nullptr;                // where it will be counted; nullptr: not counted
  std::int64_t since_ns = 0;                       // sys::monotonic_ns
  std::int64_t rate_ns = 0;                        // waits of this length or more always count
  instruments::wait_queue* queue = nullptr;        // the lock's queue
  const instruments::lock_holder* lock = nullptr;  // the lock; nullptr: not a lock
  std::uintptr_t sp = 0;                           // an even address on the waiting thread's stack
  bool may_give_up = false;
};

struct alignas(sys::cache_line) wait_slot {
  static constexpr bool is_zeros_at_first = true;

  std::atomic<std::uint32_t> taken{0};
  std::atomic<std::uint32_t> sequence{0};
  std::atomic<::pthread_t> thread{};
  std::atomic<tables::bucket*> bucket{nullptr};
  std::atomic<std::int64_t> since_ns{0};
  std::atomic<std::int64_t> rate_ns{0};
  std::atomic<instruments::wait_queue*> queue{nullptr};
  std::atomic<const instruments::lock_holder*> lock{nullptr};
  std::atomic<std::uintptr_t> sp{0};

  // Returns the number of the wait that begins.
  std::uint32_t begin(const wait_in_progress& w) noexcept {
    // Release: a thread that sees one of these values sees that the wait before has ended.
    thread.store(::pthread_self(), std::memory_order_release);
    bucket.store(w.bucket, std::memory_order_release);
    since_ns.store(w.since_ns, std::memory_order_release);
    rate_ns.store(w.rate_ns, std::memory_order_release);
    queue.store(w.queue, std::memory_order_release);
    lock.store(w.lock, std::memory_order_release);
    sp.store(w.sp | (w.may_give_up ? 1U : 0U), std::memory_order_release);
    return move(goes_on);
  }
  // The wait is over; `end` follows when it is counted.
  void count() noexcept { move(is_counted); }
  void end() noexcept {
    move(none);
    taken.store(0, std::memory_order_release);
  }

  // Calls see(slot, sequence, wait) if a wait goes on or is being counted; the sequence is that of
  // its going on.
  template <class F>
  void visit(F& see) const {
    const std::uint32_t now = sequence.load(std::memory_order_acquire);
    if (state(now) == none) return;
    // Acquire: all are read before the sequence is read again.
    wait_in_progress w{
        bucket.load(std::memory_order_acquire),  since_ns.load(std::memory_order_acquire),
        rate_ns.load(std::memory_order_acquire), queue.load(std::memory_order_acquire),
        lock.load(std::memory_order_acquire),    sp.load(std::memory_order_acquire)};
    w.may_give_up = (w.sp & 1) != 0;
    // Acquire: a wait that has ended meanwhile is found in its bucket. One that is being counted
    // now is not there yet, and is still the same.
    if (sequence.load(std::memory_order_acquire) - now <= is_counted - state(now)) {
      see(*this, now - state(now) + goes_on, w);
    }
  }

  static constexpr std::uint32_t none = 0, goes_on = 1, is_counted = 2;
  static constexpr std::uint32_t state(std::uint32_t sequence) noexcept { return sequence % 4; }

 private:
  // Moves to the next such state; only the slot's owner calls it. Release publishes the work of the
  // state before; acquire keeps the work of the next state after it.
  std::uint32_t move(std::uint32_t to) noexcept {
    const std::uint32_t now = sequence.load(std::memory_order_relaxed);
    const std::uint32_t next = now + ((to - now) % 4);
    sequence.exchange(next, std::memory_order_acq_rel);
    return next;
  }
};

class wait_slots {
 public:
  constexpr explicit wait_slots(sys::arena& memory) noexcept : arena_(memory) {}

  // nullptr if memory is exhausted.
  wait_slot* take() noexcept;

  // Calls wait_slot::visit for every slot.
  template <class F>
  void for_each(F&& visit) const {
    slots_.for_each([&visit](const wait_slot& s) { s.visit(visit); });
  }

  // Runs in the child of a fork: only the calling thread is there.
  void after_fork_in_child() noexcept {
    slots_.for_each([self = ::pthread_self()](wait_slot& s) {
      if (wait_slot::state(s.sequence.load(std::memory_order_relaxed)) != wait_slot::none) {
        if (s.thread.load(std::memory_order_relaxed) == self) return;
        instruments::wait_queue* const q = s.queue.load(std::memory_order_relaxed);
        if (q != nullptr) q->after_fork_in_child();
        s.end();
      }
      s.taken.store(0, std::memory_order_relaxed);
    });
  }

 private:
  using slots = stable_array<wait_slot, 16>;

  static bool try_take(wait_slot& s) noexcept {
    std::uint32_t free = 0;
    return s.taken.load(std::memory_order_relaxed) == 0 &&
           s.taken.compare_exchange_strong(free, 1, std::memory_order_acquire,
                                           std::memory_order_relaxed);
  }

  // The newest segment is the largest, and at least half empty while all threads that wait fit.
  wait_slot* search(std::size_t start) noexcept {
    std::size_t known = 0;
    while (known < slots::count && slots_.get(known) != nullptr) ++known;
    for (std::size_t k = known; k-- > 0;) {
      wait_slot* const first = slots_.get(k);
      for (std::size_t i = 0; i < slots::size_of(k); ++i) {
        wait_slot& s = first[(start + i) % slots::size_of(k)];
        if (try_take(s)) return &s;
      }
    }
    if (known == slots::count) return nullptr;
    // Slots may pass the limit: they are hardly more than the threads that ever waited at once.
    wait_slot* const fresh = slots_.get_or_make(
        known, [this](std::size_t bytes) { return arena_.allocate_always(bytes); });
    if (fresh == nullptr) return nullptr;
    wait_slot& s = fresh[start % slots::size_of(known)];
    return try_take(s) ? &s : nullptr;
  }

  sys::arena& arena_;
  slots slots_;
};

// The slot that this thread had last.
WHENCE_THREAD_LOCAL wait_slot* last_wait_slot{nullptr};

inline wait_slot* wait_slots::take() noexcept {
  if (last_wait_slot != nullptr && try_take(*last_wait_slot)) return last_wait_slot;
  wait_slot* const found = search(sys::mix64(reinterpret_cast<std::uintptr_t>(&last_wait_slot)));
  if (found != nullptr) last_wait_slot = found;
  return found;
}

}  // namespace whence::inline v1::tables

#endif  // WHENCE_TABLES_WAIT_SLOTS_HPP
