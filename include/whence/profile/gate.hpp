// SPDX-License-Identifier: Apache-2.0
//
// The two words that the heap's fast paths read: one pair in each executable or plugin that
// includes this library, so that they are reached without an indirection.
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
// More is not counted, as no such request succeeds: the countdown must not wrap.
inline constexpr std::size_t largest_counted = std::size_t{1} << 46;
inline constexpr std::int64_t epoch = std::int64_t{1} << 40;  // caps a countdown at 1 TiB
inline constexpr std::int64_t last_epoch = std::int64_t{1} << 62;
inline constexpr std::int64_t never = INT64_MIN;

struct gate {
  std::atomic<std::int64_t> floor{1};
  std::atomic<std::uintptr_t> free_mask{0};
};

}  // namespace whence::inline v1::core

#endif  // WHENCE_PROFILE_GATE_HPP
