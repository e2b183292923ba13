// SPDX-License-Identifier: Apache-2.0
//
// Random numbers for sampling: one generator a thread, seeded when first used, splitmix64 (Steele,
// Lea, Flood, "Fast Splittable Pseudorandom Number Generators", 2014). Not for secrets.
#ifndef WHENCE_SYS_RANDOM_HPP
#define WHENCE_SYS_RANDOM_HPP

#include <cstdint>

#include <whence/sys/clock.hpp>
#include <whence/sys/thread_local.hpp>

namespace whence::inline v1::sys {

WHENCE_THREAD_LOCAL std::uint64_t random_state{0};  // 0: not seeded

inline std::uint64_t random_bits() noexcept {
  if (random_state == 0) [[unlikely]] {
    random_state = reinterpret_cast<std::uintptr_t>(&random_state) ^
                   (static_cast<std::uint64_t>(wall_time_ns()) << 16);
  }
  random_state += 0x9e3779b97f4a7c15;
  std::uint64_t z = random_state;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
  z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
  return z ^ (z >> 31);
}

// Seeds anew the child of a fork, which has its parent's state.
inline void after_fork_in_child() noexcept {
  random_state = 0;
}

// A number uniform in (0, 1], with 53 bits.
inline double uniform() noexcept {
  return static_cast<double>((random_bits() >> 11) + 1) * 0x1p-53;
}

// An integer whose mean is `value`: one of its two neighbours. Requires: 0 <= value < 2^63.
inline std::int64_t round_randomly(double value) noexcept {
  const auto whole = static_cast<std::int64_t>(value);
  return whole + (uniform() <= value - static_cast<double>(whole) ? 1 : 0);
}

}  // namespace whence::inline v1::sys

#endif  // WHENCE_SYS_RANDOM_HPP
