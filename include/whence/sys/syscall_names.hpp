// SPDX-License-Identifier: Apache-2.0
//
// The names of the system calls that threads sleep in.
#ifndef WHENCE_SYS_SYSCALL_NAMES_HPP
#define WHENCE_SYS_SYSCALL_NAMES_HPP

#include <sys/syscall.h>

#include <cstdint>

namespace whence::inline v1::sys {

// nullptr for one that is not known to sleep.
constexpr const char* syscall_name(std::int64_t number) noexcept {
  switch (number) {
#define WHENCE_SYSCALL(name) \
  case SYS_##name:           \
    return #name;
    WHENCE_SYSCALL(accept)
    WHENCE_SYSCALL(accept4)
    WHENCE_SYSCALL(clock_nanosleep)
    WHENCE_SYSCALL(close)
    WHENCE_SYSCALL(connect)
    WHENCE_SYSCALL(epoll_pwait)
    WHENCE_SYSCALL(fallocate)
    WHENCE_SYSCALL(fcntl)
    WHENCE_SYSCALL(fdatasync)
    WHENCE_SYSCALL(flock)
    WHENCE_SYSCALL(fsync)
    WHENCE_SYSCALL(futex)
    WHENCE_SYSCALL(getrandom)
    WHENCE_SYSCALL(io_getevents)
    WHENCE_SYSCALL(io_uring_enter)
    WHENCE_SYSCALL(ioctl)
    WHENCE_SYSCALL(madvise)
    WHENCE_SYSCALL(mmap)
    WHENCE_SYSCALL(mprotect)
    WHENCE_SYSCALL(mq_timedreceive)
    WHENCE_SYSCALL(mq_timedsend)
    WHENCE_SYSCALL(msgrcv)
    WHENCE_SYSCALL(msgsnd)
    WHENCE_SYSCALL(msync)
    WHENCE_SYSCALL(munmap)
    WHENCE_SYSCALL(nanosleep)
    WHENCE_SYSCALL(openat)
    WHENCE_SYSCALL(ppoll)
    WHENCE_SYSCALL(pread64)
    WHENCE_SYSCALL(preadv)
    WHENCE_SYSCALL(pselect6)
    WHENCE_SYSCALL(pwrite64)
    WHENCE_SYSCALL(pwritev)
    WHENCE_SYSCALL(read)
    WHENCE_SYSCALL(readv)
    WHENCE_SYSCALL(recvfrom)
    WHENCE_SYSCALL(recvmmsg)
    WHENCE_SYSCALL(recvmsg)
    WHENCE_SYSCALL(rt_sigsuspend)
    WHENCE_SYSCALL(rt_sigtimedwait)
    WHENCE_SYSCALL(semop)
    WHENCE_SYSCALL(semtimedop)
    WHENCE_SYSCALL(sendfile)
    WHENCE_SYSCALL(sendmmsg)
    WHENCE_SYSCALL(sendmsg)
    WHENCE_SYSCALL(sendto)
    WHENCE_SYSCALL(splice)
    WHENCE_SYSCALL(sync)
    WHENCE_SYSCALL(wait4)
    WHENCE_SYSCALL(waitid)
    WHENCE_SYSCALL(write)
    WHENCE_SYSCALL(writev)
#if defined(SYS_epoll_wait)  // not in the newer architectures
    WHENCE_SYSCALL(epoll_wait)
    WHENCE_SYSCALL(open)
    WHENCE_SYSCALL(pause)
    WHENCE_SYSCALL(poll)
    WHENCE_SYSCALL(select)
    WHENCE_SYSCALL(vfork)
#endif
#if defined(SYS_epoll_pwait2)
    WHENCE_SYSCALL(epoll_pwait2)
#endif
#if defined(SYS_futex_waitv)
    WHENCE_SYSCALL(futex_waitv)
#endif
#undef WHENCE_SYSCALL
    default:
      return nullptr;
  }
}

}  // namespace whence::inline v1::sys

#endif  // WHENCE_SYS_SYSCALL_NAMES_HPP
