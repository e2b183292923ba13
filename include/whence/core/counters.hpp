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
#include <whence/tables/bucket.hpp>

namespace whence::inline v1::core {

// ---- what samples stand for
//
// A block of S bytes at rate R is sampled with probability p = 1 - exp(-S/R), so each sample stands
// for 1/p blocks:
//
//   objects = count / (1 - exp(-S/R))        bytes = objects * S
//
// both truncated, each from the exact product (Go: runtime/pprof/protomem.go, scaleHeapSample).

struct heap_amount {
  std::int64_t objects;
  std::int64_t bytes;
};

inline double sampling_probability(double block_size, std::int64_t rate) noexcept {
  return rate <= 1 ? 1.0 : -__builtin_expm1(-block_size / static_cast<double>(rate));
}

inline heap_amount scale(std::int64_t count, std::uint64_t block_size, std::int64_t rate) noexcept {
  if (count == 0 || block_size == 0) return {0, 0};
  const auto size = static_cast<double>(block_size);
  if (rate <= 1) return {count, count * static_cast<std::int64_t>(block_size)};
  const double objects = static_cast<double>(count) / sampling_probability(size, rate);
  return {static_cast<std::int64_t>(objects), static_cast<std::int64_t>(objects * size)};
}

// The value that a reader which scales by the average size turns back into `amount` (readers of
// Go's text format scale it so).
inline heap_amount unscale(heap_amount amount, std::int64_t rate) noexcept {
  if (amount.objects == 0) return {0, 0};
  const double p = sampling_probability(
      static_cast<double>(amount.bytes) / static_cast<double>(amount.objects), rate);
  return {static_cast<std::int64_t>(static_cast<double>(amount.objects) * p + 0.5),
          static_cast<std::int64_t>(static_cast<double>(amount.bytes) * p + 0.5)};
}

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
