// SPDX-License-Identifier: Apache-2.0
//
// What code tells about the frame of a thread that was found in it: for walks of other threads'
// stacks, hence apart from arch.hpp, which every recording includes.
//
// The bytes are copied by the kernel, since the address may be anything. Signal-safe. Some 1 us.
#ifndef WHENCE_UNWIND_CODE_HPP
#define WHENCE_UNWIND_CODE_HPP

#include <cstdint>

#include <whence/sys/safe_read.hpp>
#if defined(__x86_64__)
#include <whence/unwind/x86_64/code.hpp>
#elif defined(__aarch64__)
#include <whence/unwind/aarch64/code.hpp>
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

#endif  // WHENCE_UNWIND_CODE_HPP
