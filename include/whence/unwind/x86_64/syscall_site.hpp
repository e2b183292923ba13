// SPDX-License-Identifier: Apache-2.0
//
// Tells whether bytes of code are a system call.
#ifndef WHENCE_UNWIND_X86_64_SYSCALL_SITE_HPP
#define WHENCE_UNWIND_X86_64_SYSCALL_SITE_HPP

#include <cstdint>
#include <cstring>

namespace whence::inline v1::unwind {

inline constexpr std::uintptr_t syscall_bytes = 2;

inline bool is_syscall(const unsigned char* code) noexcept {
  return code[0] == 0x0f && code[1] == 0x05;
}

// mov $14, %eax (rt_sigprocmask); syscall
inline constexpr std::uintptr_t signal_mask_call_bytes = 7;

inline bool is_signal_mask_call(const unsigned char* code) noexcept {
  constexpr unsigned char expected[] = {0xb8, 0x0e, 0, 0, 0, 0x0f, 0x05};
  return std::memcmp(code, expected, sizeof expected) == 0;
}

}  // namespace whence::inline v1::unwind

#endif  // WHENCE_UNWIND_X86_64_SYSCALL_SITE_HPP
