// SPDX-License-Identifier: Apache-2.0
//
// The clocks, in nanoseconds and without <chrono>. Signal-safe. Cost: some 25 ns each (vDSO).
#ifndef WHENCE_SYS_CLOCK_HPP
#define WHENCE_SYS_CLOCK_HPP

#include <time.h>

#include <cstdint>

namespace whence::inline v1::sys {

inline std::int64_t clock_ns(clockid_t clock) noexcept {
  timespec t{};
  ::clock_gettime(clock, &t);
  return std::int64_t{t.tv_sec} * 1'000'000'000 + t.tv_nsec;
}

// Counts from the Unix epoch; may step.
inline std::int64_t wall_time_ns() noexcept {
  return clock_ns(CLOCK_REALTIME);
}

// Counts from some moment; never steps.
inline std::int64_t monotonic_ns() noexcept {
  return clock_ns(CLOCK_MONOTONIC);
}

}  // namespace whence::inline v1::sys

#endif  // WHENCE_SYS_CLOCK_HPP
