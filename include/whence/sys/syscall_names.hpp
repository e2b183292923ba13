// SPDX-License-Identifier: Apache-2.0
//
// The names of the system calls that threads sleep in.
#ifndef WHENCE_SYS_SYSCALL_NAMES_HPP
#define WHENCE_SYS_SYSCALL_NAMES_HPP

#include <sys/syscall.h>

#include <cstdint>

// These are lists, not a line each, because every program that includes this library reads the
// lines.
// clang-format off
#define WHENCE_SYSCALLS(F) \
  F(accept) F(accept4) F(clock_nanosleep) F(close) F(connect) F(epoll_pwait) F(fallocate) \
  F(fcntl) F(fdatasync) F(flock) F(fsync) F(futex) F(getrandom) F(io_getevents) \
  F(io_uring_enter) F(ioctl) F(madvise) F(mmap) F(mprotect) F(mq_timedreceive) F(mq_timedsend) \
  F(msgrcv) F(msgsnd) F(msync) F(munmap) F(nanosleep) F(openat) F(ppoll) F(pread64) F(preadv) \
  F(pselect6) F(pwrite64) F(pwritev) F(read) F(readv) F(recvfrom) F(recvmmsg) F(recvmsg) \
  F(rt_sigsuspend) F(rt_sigtimedwait) F(semop) F(semtimedop) F(sendfile) F(sendmmsg) F(sendmsg) \
  F(sendto) F(splice) F(sync) F(wait4) F(waitid) F(write) F(writev)
#if defined(SYS_epoll_wait)  // not in the newer architectures
#define WHENCE_OLD_SYSCALLS(F) \
  F(epoll_wait) F(open) F(pause) F(poll) F(select) F(vfork)
#else
#define WHENCE_OLD_SYSCALLS(F)
#endif
// clang-format on

namespace whence::inline v1::sys {

// nullptr for a system call that is not known to sleep.
constexpr const char* syscall_name(std::int64_t number) noexcept {
  switch (number) {
#define WHENCE_SYSCALL(name) \
  case SYS_##name:           \
    return #name;
    WHENCE_SYSCALLS(WHENCE_SYSCALL)
    WHENCE_OLD_SYSCALLS(WHENCE_SYSCALL)
#if defined(SYS_epoll_pwait2)
    WHENCE_SYSCALL(epoll_pwait2)
#endif
#if defined(SYS_futex_waitv)
    WHENCE_SYSCALL(futex_waitv)
#endif
#undef WHENCE_SYSCALL
#undef WHENCE_SYSCALLS
#undef WHENCE_OLD_SYSCALLS
    default:
      return nullptr;
  }
}

}  // namespace whence::inline v1::sys

#endif  // WHENCE_SYS_SYSCALL_NAMES_HPP
