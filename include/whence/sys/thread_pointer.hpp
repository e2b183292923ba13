// SPDX-License-Identifier: Apache-2.0
//
// A number that tells threads apart as long as they live: the address of the thread's control
// block. (System V ABI, AMD64 supplement: %fs:0 holds it; AAPCS64: TPIDR_EL0.) Signal-safe. Cost:
// one instruction.
#ifndef WHENCE_SYS_THREAD_POINTER_HPP
#define WHENCE_SYS_THREAD_POINTER_HPP

#include <cstdint>

namespace whence::inline v1::sys {

[[gnu::always_inline]] inline std::uintptr_t thread_pointer() noexcept {
  std::uintptr_t address;
  // Volatile, because a coroutine may be on another thread after a suspension.
#if defined(__x86_64__)
  asm volatile("movq %%fs:0, %0" : "=r"(address));
#elif defined(__aarch64__)
  asm volatile("mrs %0, tpidr_el0" : "=r"(address));
#endif
  return address;
}

}  // namespace whence::inline v1::sys

#endif  // WHENCE_SYS_THREAD_POINTER_HPP
