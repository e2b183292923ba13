// SPDX-License-Identifier: Apache-2.0
//
// What the four counters of a bucket mean for each kind of profile, and how they become values.
//
//   custom                   | live | - | - | -
//   heap                     | blocks allocated | blocks freed | - | -        of one size, unscaled
//   heap, [overflow] bucket  | objects allocated | freed | bytes allocated | freed   mixed, scaled
//   block, mutex             | contentions | delay in nanoseconds | - | -
//   mutex_hold               | holds | hold in nanoseconds | - | -
//   cpu, wall                | samples | nanoseconds | - | -
//   goroutine, threadcreate  | count | - | - | -
//
// Ends are read before begins, so that no difference is ever negative. Signal-safe.
#ifndef WHENCE_CORE_COUNTERS_HPP
#define WHENCE_CORE_COUNTERS_HPP

#include <cstddef>
#include <cstdint>

#include <whence/core/kinds.hpp>
#include <whence/core/scale.hpp>
#include <whence/tables/bucket.hpp>

namespace whence::inline v1::core {

inline constexpr int live_counter = 0;
inline constexpr int allocated_counter = 0;
inline constexpr int freed_counter = 1;
inline constexpr int contention_counter = 0;
inline constexpr int delay_counter = 1;
inline constexpr int sample_counter = 0;
inline constexpr int time_counter = 1;
inline constexpr int overflow_bytes = 2;  // from a counter of objects to that of their bytes

// Counts one block of `bytes` as allocated or freed.
inline void count_block(tables::bucket& b, std::size_t bytes, int counter) noexcept {
  if (!b.overflow()) {
    b.add(counter, 1);
    return;
  }
  const heap_amount amount = scale(1, bytes, b.rate);
  b.add(counter, amount.objects);
  b.add(counter + overflow_bytes, amount.bytes);
}

struct heap_values {
  heap_amount allocated, in_use;          // scaled: what the samples stand for
  heap_amount raw_allocated, raw_in_use;  // the samples themselves
};

inline heap_values read_heap(const tables::bucket& b) noexcept {
  // Acquire pairs with the release of bucket::add: a free that is seen has its allocation seen.
  const auto read = [&b](int counter) {
    return b.counters[counter].load(std::memory_order_acquire);
  };
  if (b.overflow()) {
    const heap_amount freed{read(freed_counter), read(freed_counter + overflow_bytes)};
    const heap_amount all{read(allocated_counter), read(allocated_counter + overflow_bytes)};
    // An upstream may take back more than was asked for (allocate_at_least).
    const heap_amount live{all.objects - freed.objects,
                           all.bytes > freed.bytes ? all.bytes - freed.bytes : 0};
    return {all, live, unscale(all, b.rate), unscale(live, b.rate)};
  }
  const std::int64_t freed = read(freed_counter);
  const std::int64_t all = read(allocated_counter);
  const auto size = static_cast<std::int64_t>(b.number);
  return {scale(all, b.number, b.rate),
          scale(all - freed, b.number, b.rate),
          {all, all * size},
          {all - freed, (all - freed) * size}};
}

}  // namespace whence::inline v1::core

#endif  // WHENCE_CORE_COUNTERS_HPP
