// SPDX-License-Identifier: Apache-2.0
//
// The processor's own counter of time: several times cheaper to read than a clock, but its rate
// differs from machine to machine. It tells a moment from an age; it does not measure. Signal-safe.
#ifndef WHENCE_SYS_CYCLES_HPP
#define WHENCE_SYS_CYCLES_HPP

#include <cstdint>

namespace whence::inline v1::sys {

inline std::uint64_t cycles() noexcept {
#if defined(__x86_64__)
  return __builtin_ia32_rdtsc();
#elif defined(__aarch64__)
  std::uint64_t count = 0;
  asm volatile("mrs %0, cntvct_el0" : "=r"(count));
  return count;
#endif
}

// Some 8 to 16 microseconds.
inline std::uint64_t moment_in_cycles() noexcept {
#if defined(__x86_64__)
  return 32768;  // at 2 to 4 GHz
#elif defined(__aarch64__)
  std::uint64_t hertz = 0;
  asm("mrs %0, cntfrq_el0" : "=r"(hertz));
  return hertz >> 16;
#endif
}

}  // namespace whence::inline v1::sys

#endif  // WHENCE_SYS_CYCLES_HPP
