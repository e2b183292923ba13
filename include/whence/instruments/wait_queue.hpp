// SPDX-License-Identifier: Apache-2.0
//
// The waiters of one lock in one word: how many threads, and since when all together. It tells an
// unlocker how long other threads have waited because of it, each nanosecond of each thread once:
//
//   n threads wait since s1 ... sn      pending(t) = (t - s1) + ... + (t - sn) = n t - S
//   a thread begins to wait             n + 1, S + now
//   it gets the lock                    n - 1, S - its clock       its wake-up is not charged
//   it gives up                         n - 1, S - now             what it waited stays pending
//   an unlock is charged pending(t)     S = n t                    all clocks are set to t
//
//   word: | S, 48 bits, in ticks of 64 ns | n, 14 | handed over, 1 | a hold is timed, 1 |
//         zero: nothing to do
//
// A thread's clock is the later of its begin and the last charge, so that is kept beside the word.
// This is Go's rule since 1.22 (runtime/sema.go: the head's wait, and for the others the mean of
// head and tail), without the estimate: Go looks at two waiters, the sum knows them all. S counts
// modulo 2^48, which holds 100 days of waiting between two unlocks.
//
// A thread that is woken takes some microseconds to come, and meanwhile others, the unlocker first
// of all, take and release the lock over and over. Those releases are not charged one by one: after
// a charge the queue rests until a thread has gained the lock or a moment (sys/cycles.hpp) is over.
//
// A charge reads the word first and the clock after it, and leaves threads that have come meanwhile
// unchanged. So S never counts a time in which no thread waited, in whatever order unlockers of a
// shared lock overlap.
//
// Thread-safe, lock-free.
#ifndef WHENCE_INSTRUMENTS_WAIT_QUEUE_HPP
#define WHENCE_INSTRUMENTS_WAIT_QUEUE_HPP

#include <cstdint>

#include <whence/sys/atomic_word.hpp>
#include <whence/sys/cycles.hpp>

namespace whence::inline v1::instruments {

class wait_queue {
 public:
  static constexpr std::int64_t tick_ns = 64;
  static constexpr std::uint64_t most_waiters = 0x3fff;

  constexpr wait_queue() noexcept = default;

  // True if no thread waits, nothing is pending and no hold is timed. Every unlock asks this.
  bool idle() const noexcept { return word_.load(sys::relaxed) == 0; }

  // False, and nothing is changed, if too many wait already.
  bool enter(std::int64_t now_ns) noexcept {
    std::uint64_t before = word_.load(sys::relaxed);
    do {
      if (count(before) == most_waiters) return false;
    } while (!word_.compare_exchange_weak(before, before + waiter(ticks(now_ns)), sys::relaxed));
    return true;
  }

  // The thread that entered at `since_ns` has the lock.
  void gain(std::int64_t since_ns) noexcept {
    const std::int64_t charged = charged_.load(sys::relaxed);
    const std::int64_t since = ticks(since_ns);
    const std::uint64_t before =
        word_.fetch_sub(waiter(since > charged ? since : charged), sys::relaxed);
    if ((before & handed_over) != 0) word_.fetch_and(~handed_over, sys::relaxed);
  }

  // A thread that entered stops waiting without the lock.
  void give_up(std::int64_t now_ns) noexcept {
    word_.fetch_sub(waiter(ticks(now_ns)), sys::relaxed);
  }

  // True if a thread was charged just now, and the waiters have not had the time to come.
  bool resting() const noexcept {
    const std::uint64_t word = word_.load(sys::relaxed);
    return (word & handed_over) != 0 && count(word) > 0 &&
           now_in_cycles() - handover_.load(sys::relaxed) < sys::moment_in_cycles();
  }

  // Returns the nanoseconds that an unlock at this moment is charged; `clock` tells the time in
  // nanoseconds. Requires: the lock is held.
  template <class Clock>
  std::int64_t charge(Clock clock) noexcept {
    std::uint64_t before = word_.load(sys::relaxed);
    for (;;) {
      if ((before & ~holding) == 0) return 0;
      const std::int64_t now = ticks(clock());
      const std::uint64_t all = count(before) * static_cast<std::uint64_t>(now);
      // The top one of the 48 bits is the sign: a thread may give up between two readings.
      const auto pending =
          static_cast<std::int64_t>((all - (before >> sum_shift)) << sum_shift) >> sum_shift;
      const std::uint64_t charged = pending > 0 ? static_cast<std::uint64_t>(pending) : 0;
      // With no waiters left, clear the sum.
      const std::uint64_t after =
          count(before) > 0 ? (before | handed_over) + (charged << sum_shift) : before & holding;
      // This comes before the word changes: a thread that gains the lock meanwhile must not take
      // charged time for uncharged.
      if (count(before) > 0) raise_charged(now);
      if (word_.compare_exchange_strong(before, after, sys::relaxed)) {
        handover_.store(now_in_cycles(), sys::relaxed);
        return static_cast<std::int64_t>(charged) * tick_ns;
      }
    }
  }

  // Marks that the hold is timed, so that its unlock ends the timing. Requires: the lock is held.
  void begin_hold() noexcept { word_.fetch_or(holding, sys::relaxed); }

  bool holds() const noexcept { return (word_.load(sys::relaxed) & holding) != 0; }

  // Takes the mark away; true if it was set. Requires: the lock is held.
  bool end_hold() noexcept {
    if (!holds()) return false;
    word_.fetch_and(~holding, sys::relaxed);
    return true;
  }

  // The threads that waited do not exist in the child of a fork.
  void after_fork_in_child() noexcept { word_.fetch_and(holding, sys::relaxed); }

 private:
  static constexpr int sum_shift = 16;
  static constexpr std::uint64_t holding = 1;
  static constexpr std::uint64_t handed_over = 2;
  static constexpr std::uint64_t low_bits = 0xffff;

  static std::uint32_t now_in_cycles() noexcept {
    return static_cast<std::uint32_t>(sys::cycles());
  }
  void raise_charged(std::int64_t to) noexcept {
    std::int64_t before = charged_.load(sys::relaxed);
    while (before < to && !charged_.compare_exchange_weak(before, to, sys::relaxed)) {
    }
  }
  static constexpr std::int64_t ticks(std::int64_t ns) noexcept { return ns / tick_ns; }
  static constexpr std::uint64_t waiter(std::int64_t clock) noexcept {
    return (static_cast<std::uint64_t>(clock) << sum_shift) + 4;
  }
  static constexpr std::uint64_t count(std::uint64_t word) noexcept {
    return (word & low_bits) >> 2;
  }

  sys::atomic_word<std::uint64_t> word_{0};
  sys::atomic_word<std::int64_t> charged_{0};    // in ticks
  sys::atomic_word<std::uint32_t> handover_{0};  // when the last charge was; cycles, the lower half
};

}  // namespace whence::inline v1::instruments

#endif  // WHENCE_INSTRUMENTS_WAIT_QUEUE_HPP
