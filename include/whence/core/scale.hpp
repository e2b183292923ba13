// SPDX-License-Identifier: Apache-2.0
//
// Computes what samples stand for. A block of S bytes at rate R is sampled with probability p = 1 -
// exp(-S/R), so each sample stands for 1/p blocks:
//
//   objects = count / (1 - exp(-S/R))        bytes = objects * S
//
// both truncated, each from the exact product (Go: runtime/pprof/protomem.go, scaleHeapSample).
#ifndef WHENCE_CORE_SCALE_HPP
#define WHENCE_CORE_SCALE_HPP

#include <cstdint>

namespace whence::inline v1::core {

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

}  // namespace whence::inline v1::core

#endif  // WHENCE_CORE_SCALE_HPP
