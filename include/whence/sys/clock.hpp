// SPDX-License-Identifier: Apache-2.0
//
// Nanoseconds since the Unix epoch, without <chrono>. Signal-safe.
#ifndef WHENCE_SYS_CLOCK_HPP
#define WHENCE_SYS_CLOCK_HPP

#include <time.h>

#include <cstdint>

namespace whence::inline v1::sys {

inline std::int64_t wall_time_ns() noexcept {
  timespec t{};
  ::clock_gettime(CLOCK_REALTIME, &t);
  return std::int64_t{t.tv_sec} * 1'000'000'000 + t.tv_nsec;
}

}  // namespace whence::inline v1::sys

#endif  // WHENCE_SYS_CLOCK_HPP
