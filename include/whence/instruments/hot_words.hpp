// SPDX-License-Identifier: Apache-2.0
//
// The words that fast paths read. Each executable or plugin that includes this library has one set,
// so that they are reached without an indirection.
//
//   allocate    remaining -= bytes;  if (remaining < floor)          the slow path
//   free        if ((address & free_mask) == 0)                      the slow path
//
// A thread's countdown is `floor` plus the bytes that are left. A new rate raises the floor by more
// than any countdown holds (`epoch`), which sends every thread to its slow path at its next
// allocation. So a change of rate takes effect at once, without touching other threads.
//
// free_mask is zero until the module has looked for a recorder: every deallocation then takes the
// slow path. After that it is `tagged_only` as long as every sampled block is aligned to a page,
// and `look_at_all` from the first moment a sampled block may not be.
#ifndef WHENCE_INSTRUMENTS_HOT_WORDS_HPP
#define WHENCE_INSTRUMENTS_HOT_WORDS_HPP

#include <cstddef>
#include <cstdint>

#include <whence/sys/atomic_word.hpp>

namespace whence::inline v1::instruments {

inline constexpr std::size_t tag_alignment = 4096;
// Aligning a sampled block costs a page: at this rate, a sixteenth of the memory allocated.
inline constexpr std::int64_t smallest_tagging_rate = 64 * 1024;
// Larger requests are not counted, because none of them succeeds and the countdown must not wrap.
inline constexpr std::size_t largest_counted = std::size_t{1} << 46;
inline constexpr std::int64_t epoch = std::int64_t{1} << 40;  // caps a countdown at 1 TiB

inline constexpr std::uintptr_t not_looked = 0;
inline constexpr std::uintptr_t tagged_only = tag_alignment - 1;
// A bit that no address of a program has set, whatever tags its upper bits carry.
#if defined(__aarch64__)
inline constexpr std::uintptr_t look_at_all = std::uintptr_t{1} << 55;
#else
inline constexpr std::uintptr_t look_at_all = std::uintptr_t{1} << 63;
#endif

struct hot_words {
  static constexpr std::int64_t first_floor = 1;  // until a recorder comes

  sys::atomic_word<std::int64_t> floor{first_floor};
  sys::atomic_word<std::uintptr_t> free_mask{not_looked};
};

}  // namespace whence::inline v1::instruments

#endif  // WHENCE_INSTRUMENTS_HOT_WORDS_HPP
