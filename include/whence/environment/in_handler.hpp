// SPDX-License-Identifier: Apache-2.0
//
// Whether a profile may be written here. A program may call exit or _exit in a signal handler, and
// the handler may have interrupted malloc, the dynamic linker or this library, whose locks are then
// held for good: a process that would have ended must not hang.
//
// What was interrupted is found on the stack. It is harmless if it is the program's own code, or a
// system call that sleeps, as in a server that waits for clients. A handler may also have a stack
// of its own with no room for a writer, or end a process whose memory is broken.
#ifndef WHENCE_ENVIRONMENT_IN_HANDLER_HPP
#define WHENCE_ENVIRONMENT_IN_HANDLER_HPP

#include <dlfcn.h>
#include <link.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/syscall.h>

#include <cstddef>
#include <cstdint>
#include <cstring>

#include <whence/state/process_state.hpp>
#include <whence/sys/inside_library.hpp>
#include <whence/sys/safe_read.hpp>
#include <whence/unwind/capture.hpp>
#include <whence/unwind/code.hpp>
#include <whence/unwind/trace.hpp>
#include <whence/unwind/walk/return_address_check.hpp>

namespace whence::inline v1::environment {

// The number that the code in front of a system call's instruction loads; -1 if it is not seen.
inline long syscall_number_before(std::uintptr_t instruction) noexcept {
#if defined(__x86_64__)
  unsigned char code[5];  // mov $number,%eax
  if (!sys::copy_memory(code, instruction - sizeof code, sizeof code) || code[0] != 0xb8) return -1;
  std::int32_t number = 0;
  std::memcpy(&number, code + 1, sizeof number);
  return number;
#else
  std::uint32_t code = 0;  // mov x8, number
  if (!sys::copy_memory(&code, instruction - sizeof code, sizeof code)) return -1;
  return (code & 0xffe0001fU) == 0xd2800008U ? static_cast<long>((code >> 5) & 0xffffU) : -1;
#endif
}

// True for the calls in which a program waits, or sends itself a signal. Not for futex, in which a
// thread that holds one lock may wait for another, nor for those of malloc.
inline bool may_be_left(long number) noexcept {
  switch (number) {
    case SYS_read:
    case SYS_write:
    case SYS_readv:
    case SYS_writev:
    case SYS_ppoll:
    case SYS_pselect6:
    case SYS_epoll_pwait:
    case SYS_nanosleep:
    case SYS_clock_nanosleep:
    case SYS_accept:
    case SYS_accept4:
    case SYS_connect:
    case SYS_recvfrom:
    case SYS_recvmsg:
    case SYS_sendto:
    case SYS_sendmsg:
    case SYS_wait4:
    case SYS_waitid:
    case SYS_rt_sigsuspend:
    case SYS_rt_sigtimedwait:
    case SYS_rt_sigqueueinfo:
    case SYS_kill:
    case SYS_tkill:
    case SYS_tgkill:
#if defined(__x86_64__)
    case SYS_poll:
    case SYS_select:
    case SYS_pause:
    case SYS_epoll_wait:
#endif
      return true;
    default:
      return false;
  }
}

inline bool is_in_sleeping_call(std::uintptr_t pc) noexcept {
  for (const std::uintptr_t instruction : {pc - unwind::syscall_bytes, pc}) {
    unsigned char code[unwind::syscall_bytes];
    if (sys::copy_memory(code, instruction, sizeof code) && unwind::is_syscall(code) &&
        may_be_left(syscall_number_before(instruction))) {
      return true;
    }
  }
  return false;
}

// True for code of modules that have locks which a writer needs.
inline bool may_hold_lock(std::uintptr_t pc) noexcept {
  ::dl_find_object at{}, own{}, allocator{};
  if (::_dl_find_object(reinterpret_cast<void*>(pc), &at) != 0) return true;
  const auto is_module_of = [&at](void* address, ::dl_find_object& other) {
    return ::_dl_find_object(address, &other) == 0 && other.dlfo_link_map == at.dlfo_link_map;
  };
  if (is_module_of(reinterpret_cast<void*>(&::free), allocator)) return true;
  const char* const path = at.dlfo_link_map->l_name;
  const bool is_program = path == nullptr || *path == '\0';
  if (!is_program && is_module_of(&state::own_state, own)) return true;
  const char* const slash = is_program ? nullptr : std::strrchr(path, '/');
  const char* const file = slash == nullptr ? path : slash + 1;
  if (is_program) return false;
  return std::strncmp(file, "ld-", 3) == 0 || std::strncmp(file, "libc.", 5) == 0 ||
         std::strncmp(file, "libpthread", 10) == 0 || std::strstr(file, "malloc") != nullptr;
}

// True on an alternate signal stack that a writer would overflow: most have 8 KiB. Signal-safe.
inline bool is_on_small_stack() noexcept {
  constexpr std::uintptr_t needed = std::uintptr_t{64} << 10;
  ::stack_t now{};
  return ::sigaltstack(nullptr, &now) == 0 && (now.ss_flags & SS_ONSTACK) != 0 &&
         reinterpret_cast<std::uintptr_t>(&now) - reinterpret_cast<std::uintptr_t>(now.ss_sp) <
             needed;
}

// True in a handler of a fault or of abort, by the signal that the kernel blocks for its handler:
// the memory that a writer needs may be broken. Not if the handler blocks all signals, as those of
// other signals do, too. Signal-safe. Requires: called in a handler.
inline bool may_be_broken() noexcept {
  ::sigset_t blocked;
  if (::pthread_sigmask(SIG_SETMASK, nullptr, &blocked) != 0) return false;
  if (::sigismember(&blocked, SIGTERM) == 1 && ::sigismember(&blocked, SIGINT) == 1) return false;
  for (const int fault : {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT}) {
    if (::sigismember(&blocked, fault) == 1) return true;
  }
  return false;
}

// Signal-safe. Some 10 us, if the stack has 50 frames.
[[gnu::noinline]] inline bool is_unsafe_here() noexcept {
  if (is_on_small_stack()) return true;
  state::process_state* const s = state::root.load(std::memory_order_acquire);
  if (s == nullptr) return false;
  std::uintptr_t pcs[128];
  unwind::trace t{pcs, sizeof pcs / sizeof *pcs};
  unwind::capture(s->unwinder, t, __builtin_return_address(0));
  for (std::size_t i = 0; i + 1 < t.depth; ++i) {
    if (!unwind::ends_signal(pcs[i])) continue;
    const std::uintptr_t interrupted = pcs[i + 1] - 1;  // unwind/pc.hpp, as_return_address
    if (sys::inside_library > 0 || may_be_broken()) return true;
    if (may_hold_lock(interrupted) && !is_in_sleeping_call(interrupted)) return true;
  }
  return false;
}

}  // namespace whence::inline v1::environment

#endif  // WHENCE_ENVIRONMENT_IN_HANDLER_HPP
