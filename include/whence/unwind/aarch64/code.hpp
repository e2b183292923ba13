// SPDX-License-Identifier: Apache-2.0
//
// What the bytes of a function's code tell a walk of another thread's stack: whether an address is
// at a system call. Apart from arch.hpp, because only such walks need it.
#ifndef WHENCE_UNWIND_AARCH64_CODE_HPP
#define WHENCE_UNWIND_AARCH64_CODE_HPP

#include <cstddef>
#include <cstdint>
#include <cstring>

namespace whence::inline v1::unwind {

// ---- the prologue
//
// How far below its saved frame pointer a function's stack pointer is at least. On AArch64 the
// frame record is at the lower end of the frame, just above what the function allocates later, so
// there is no bound.

inline constexpr std::size_t longest_prologue = 4;

inline std::uintptr_t least_room_below_fp(const unsigned char*) noexcept {
  return 0;
}

// ---- system calls
//
// Tells whether bytes of code are a system call.

inline constexpr std::uintptr_t syscall_bytes = 4;

// svc #0
inline bool is_syscall(const unsigned char* code) noexcept {
  constexpr unsigned char expected[] = {0x01, 0x00, 0x00, 0xd4};
  return std::memcmp(code, expected, sizeof expected) == 0;
}

// mov x8, 135 (rt_sigprocmask); svc #0
inline constexpr std::uintptr_t signal_mask_call_bytes = 8;

inline bool is_signal_mask_call(const unsigned char* code) noexcept {
  constexpr unsigned char expected[] = {0xe8, 0x10, 0x80, 0xd2};
  return std::memcmp(code, expected, sizeof expected) == 0 && is_syscall(code + 4);
}

}  // namespace whence::inline v1::unwind

#endif  // WHENCE_UNWIND_AARCH64_CODE_HPP
