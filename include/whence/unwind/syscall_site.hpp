// SPDX-License-Identifier: Apache-2.0
//
// What the code in front of an interrupted instruction tells about system calls. The bytes are
// copied by the kernel, since the address may be anything. Signal-safe. Some 1 us.
#ifndef WHENCE_UNWIND_SYSCALL_SITE_HPP
#define WHENCE_UNWIND_SYSCALL_SITE_HPP

#include <cstdint>

#include <whence/sys/safe_read.hpp>
#if defined(__x86_64__)
#include <whence/unwind/x86_64/syscall_site.hpp>
#else
#include <whence/unwind/aarch64/syscall_site.hpp>
#endif

namespace whence::inline v1::unwind {

// True if a signal at `pc` found its thread in a system call: behind the instruction, or in front
// of it if the call is restarted.
inline bool in_syscall(std::uintptr_t pc) noexcept {
  unsigned char code[2 * syscall_bytes];
  return pc >= sys::page_bytes && sys::copy_memory(code, pc - syscall_bytes, sizeof code) &&
         (is_syscall(code) || is_syscall(code + syscall_bytes));
}

// True if a thread at `pc` has just returned from the system call that sets its signal mask.
inline bool after_signal_mask_call(std::uintptr_t pc) noexcept {
  unsigned char before[signal_mask_call_bytes];
  return pc >= sys::page_bytes && sys::copy_memory(before, pc - sizeof before, sizeof before) &&
         is_signal_mask_call(before);
}

}  // namespace whence::inline v1::unwind

#endif  // WHENCE_UNWIND_SYSCALL_SITE_HPP
