// SPDX-License-Identifier: Apache-2.0
//
// The end of the stack that the kernel gave the process, as glibc's loader keeps it.
#ifndef WHENCE_SYS_MAIN_STACK_END_HPP
#define WHENCE_SYS_MAIN_STACK_END_HPP

extern "C" void* __libc_stack_end;  // NOLINT(bugprone-reserved-identifier): glibc's own

#endif  // WHENCE_SYS_MAIN_STACK_END_HPP
