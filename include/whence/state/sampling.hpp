// SPDX-License-Identifier: Apache-2.0
//
// How densely memory is sampled, as the root keeps it; modules have a copy of the floor in their
// hot words (instruments/hot_words.hpp).
#ifndef WHENCE_STATE_SAMPLING_HPP
#define WHENCE_STATE_SAMPLING_HPP

#include <atomic>
#include <cstdint>

#include <whence/instruments/hot_words.hpp>

namespace whence::inline v1::state {

inline constexpr std::int64_t last_epoch = std::int64_t{1} << 62;
inline constexpr std::int64_t never = INT64_MIN;

// The mean of a sampler's draws, and where a countdown drawn with it ends.
struct sampling {
  std::atomic<std::int64_t> rate;  // 1: everything, 0: nothing
  std::atomic<std::int64_t> floor{instruments::epoch};

  // Voids every draw. Requires: one thread at a time; the hot words are published after.
  void start_epoch() noexcept {
    const std::int64_t before = floor.load(std::memory_order_relaxed);
    // After four million epochs, a change takes effect at each thread's next sample, not at once.
    if (before < last_epoch) floor.store(before + instruments::epoch, std::memory_order_release);
  }
  void change(std::int64_t to) noexcept {
    if (to == rate.load(std::memory_order_relaxed)) return;
    start_epoch();  // in which a draw may still have the old rate
    rate.store(to, std::memory_order_release);
    start_epoch();
  }

  struct terms {
    std::int64_t floor, rate;
  };
  // The present ones: a draw that the floor does not void was made with the rate. Acquire pairs
  // with the releases of `change`: a rate that is newer than the floor is seen with a newer floor.
  terms now() const noexcept {
    for (std::int64_t first = floor.load(std::memory_order_acquire);;) {
      const std::int64_t present = rate.load(std::memory_order_acquire);
      const std::int64_t again = floor.load(std::memory_order_acquire);
      if (again == first) return {first, present};
      first = again;
    }
  }
  // What the hot words show.
  std::int64_t shown_floor() const noexcept {
    return rate.load(std::memory_order_relaxed) == 0 ? never
                                                     : floor.load(std::memory_order_relaxed);
  }
};

// True if blocks sampled at this rate are not aligned to pages.
constexpr bool may_leave_untagged(std::int64_t rate) noexcept {
  return rate > 0 && rate < instruments::smallest_tagging_rate;
}

}  // namespace whence::inline v1::state

#endif  // WHENCE_STATE_SAMPLING_HPP
