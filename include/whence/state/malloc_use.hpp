// SPDX-License-Identifier: Apache-2.0
//
// The last answer of mallinfo2, by which readers tell how much of malloc's memory a profile shows.
// It holds the lock of each arena while it walks the arena's free lists: so it is asked once a
// minute at most, and never again after it has taken more than a millisecond. Lock-free.
#ifndef WHENCE_STATE_MALLOC_USE_HPP
#define WHENCE_STATE_MALLOC_USE_HPP

#include <atomic>
#include <cstdint>

#include <whence/sys/clock.hpp>

namespace whence::inline v1::state {

class malloc_use {
 public:
  struct answer {
    std::int64_t bytes = -1;  // in use; -1: not known
    std::int64_t age_ns = 0;
  };

  // `ask` returns the bytes in use.
  template <class Ask>
  answer get(Ask ask) noexcept {
    std::int64_t now = sys::monotonic_ns();
    std::int64_t last = asked_ns_.load(std::memory_order_relaxed);
    const bool is_due = last == 0 || (now - last >= pause_ns && !was_slow_.load());
    // Only the thread that sets the time asks.
    if (is_due && asked_ns_.compare_exchange_strong(last, now)) {
      bytes_.store(ask(), std::memory_order_release);
      const std::int64_t after = sys::monotonic_ns();
      if (after - now > longest_ns) was_slow_.store(true);
      now = after;
    }
    return {bytes_.load(std::memory_order_acquire),
            now - asked_ns_.load(std::memory_order_relaxed)};
  }

 private:
  static constexpr std::int64_t pause_ns = 60'000'000'000;
  static constexpr std::int64_t longest_ns = 1'000'000;

  std::atomic<std::int64_t> asked_ns_{0};  // 0: never
  std::atomic<std::int64_t> bytes_{-1};
  std::atomic<bool> was_slow_{false};
};

}  // namespace whence::inline v1::state

#endif  // WHENCE_STATE_MALLOC_USE_HPP
