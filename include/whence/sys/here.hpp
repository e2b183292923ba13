// SPDX-License-Identifier: Apache-2.0
//
// The instruction pointer and the stack pointer of the code that this is inlined into. Cost: two
// instructions; unlike __builtin_frame_address they make no function keep a frame pointer.
#ifndef WHENCE_SYS_HERE_HPP
#define WHENCE_SYS_HERE_HPP

#include <cstdint>

namespace whence::inline v1::sys {

[[gnu::always_inline]] inline std::uintptr_t current_pc() noexcept {
  std::uintptr_t ip;
#if defined(__x86_64__)
  asm volatile("leaq 0(%%rip), %0" : "=r"(ip));
#elif defined(__aarch64__)
  asm volatile("adr %0, ." : "=r"(ip));
#endif
  return ip;
}

[[gnu::always_inline]] inline std::uintptr_t current_sp() noexcept {
  std::uintptr_t sp;
#if defined(__x86_64__)
  asm volatile("movq %%rsp, %0" : "=r"(sp));
#elif defined(__aarch64__)
  asm volatile("mov %0, sp" : "=r"(sp));
#endif
  return sp;
}

// Stores sp in one instruction if the processor has such an instruction.
[[gnu::always_inline]] inline void store_current_sp(std::uintptr_t& to) noexcept {
#if defined(__x86_64__)
  asm volatile("movq %%rsp, %0" : "=m"(to));
#else
  to = current_sp();
#endif
}

}  // namespace whence::inline v1::sys

#endif  // WHENCE_SYS_HERE_HPP
