// SPDX-License-Identifier: Apache-2.0
//
// The words that fast paths read: one set in each executable or plugin that includes this library,
// so that they are reached without an indirection.
//
//   allocate    remaining -= bytes;  if (remaining < floor)          the slow path
//   free        if ((address & free_mask) == 0)                      the slow path
//
// A thread's countdown is `floor` plus the bytes that are left. A new rate raises the floor by more
// than any countdown holds (`epoch`), which sends every thread to its slow path at its next
// allocation: that is how a change of rate takes effect at once without touching other threads.
//
// free_mask is 4095 while every sampled block is aligned to a page, and 0 from the first moment
// one may not be. Zero-initialized words mean "ask": the module has not met its root yet.
#ifndef WHENCE_PROFILE_GATE_HPP
#define WHENCE_PROFILE_GATE_HPP

#include <atomic>
#include <cstddef>
#include <cstdint>

namespace whence::inline v1::core {

inline constexpr std::size_t tag_alignment = 4096;
// Aligning a sampled block costs a page: at this rate, a sixteenth of the memory allocated.
inline constexpr std::int64_t smallest_tagging_rate = 64 * 1024;
inline constexpr std::int64_t largest_rate = std::int64_t{1} << 40;
inline constexpr std::int64_t largest_hold_rate = 1'000'000;
inline constexpr std::int64_t largest_block_rate = std::int64_t{1} << 50;  // 13 days
inline constexpr std::int64_t largest_mutex_fraction = 1'000'000;
// More is not counted, as no such request succeeds: the countdown must not wrap.
inline constexpr std::size_t largest_counted = std::size_t{1} << 46;
inline constexpr std::int64_t epoch = std::int64_t{1} << 40;  // caps a countdown at 1 TiB
inline constexpr std::int64_t last_epoch = std::int64_t{1} << 62;
inline constexpr std::int64_t never = INT64_MIN;

struct gate {
  std::atomic<std::int64_t> floor{1};
  std::atomic<std::uintptr_t> free_mask{0};
};

// The mean of a sampler's draws, and where a countdown drawn with it ends.
struct sampling {
  std::atomic<std::int64_t> rate;  // 1: everything, 0: nothing
  std::atomic<std::int64_t> floor{epoch};

  // Voids every draw. Requires: nobody else does; the gates are published after.
  void start_epoch() noexcept {
    const std::int64_t before = floor.load(std::memory_order_relaxed);
    // After four million epochs, a change takes effect at each thread's next sample, not at once.
    if (before < last_epoch) floor.store(before + epoch, std::memory_order_release);
  }
  void change(std::int64_t to) noexcept {
    if (to == rate.load(std::memory_order_relaxed)) return;
    rate.store(to, std::memory_order_relaxed);
    start_epoch();
  }
  // What a gate shows.
  std::int64_t gate_floor() const noexcept {
    return rate.load(std::memory_order_relaxed) == 0 ? never
                                                     : floor.load(std::memory_order_relaxed);
  }
};

}  // namespace whence::inline v1::core

#endif  // WHENCE_PROFILE_GATE_HPP
