// SPDX-License-Identifier: Apache-2.0
//
// Tells the processor that a loop waits for another processor. Signal-safe.
#ifndef WHENCE_SYS_RELAX_HPP
#define WHENCE_SYS_RELAX_HPP

namespace whence::inline v1::sys {

inline void relax() noexcept {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

// Takes less than half a microsecond: shorter than to fall asleep and be woken.
inline void relax_for_a_moment() noexcept {
  for (int i = 0; i < 16; ++i) relax();
}

}  // namespace whence::inline v1::sys

#endif  // WHENCE_SYS_RELAX_HPP
