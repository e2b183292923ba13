// SPDX-License-Identifier: Apache-2.0
//
// Tells whether bytes of code are a system call.
#ifndef WHENCE_UNWIND_AARCH64_SYSCALL_SITE_HPP
#define WHENCE_UNWIND_AARCH64_SYSCALL_SITE_HPP

#if defined(__aarch64__)

#include <cstdint>
#include <cstring>

#include <whence/unwind/aarch64/call_site.hpp>

namespace whence::inline v1::unwind {

inline constexpr std::uintptr_t syscall_bytes = 4;

// svc #0
inline bool is_syscall(const unsigned char* code) noexcept {
  constexpr unsigned char expected[] = {0x01, 0x00, 0x00, 0xd4};
  return std::memcmp(code, expected, sizeof expected) == 0;
}

// mov x8, 135 (rt_sigprocmask); svc #0
inline constexpr std::uintptr_t signal_mask_call_bytes = 8;

inline bool is_signal_mask_call(const unsigned char* code) noexcept {
  return instruction_at(code) == 0xd28010e8 && is_syscall(code + 4);
}

}  // namespace whence::inline v1::unwind

#endif  // defined(__aarch64__)

#endif  // WHENCE_UNWIND_AARCH64_SYSCALL_SITE_HPP
