// SPDX-License-Identifier: Apache-2.0
//
// A counter of a thread's CPU time that signals it more often than the kernel's tick: perf_event's
// task clock, told to leave out the kernel. So it needs no privilege, and the signal comes only
// while the thread is in its own code: no system call is ever interrupted.
// (man perf_event_open: PERF_COUNT_SW_TASK_CLOCK, exclude_kernel, "Overflow handling")
//
// A counter is a file descriptor. Signal-safe. Keeps errno.
#ifndef WHENCE_SYS_CPU_COUNTER_HPP
#define WHENCE_SYS_CPU_COUNTER_HPP

#include <fcntl.h>
#include <linux/perf_event.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>

#include <whence/sys/errno_guard.hpp>

namespace whence::inline v1::sys {

inline constexpr int no_counter = -1;

inline void close_counter(int counter) noexcept {
  const errno_guard keep;
  // A child of fork may hold it open: it must be quiet nevertheless.
  ::ioctl(counter, PERF_EVENT_IOC_DISABLE, 0);
  ::close(counter);
}

// Signals the thread after every `period_ns` of its CPU time that ends in its own code. no_counter
// where the kernel, a sandbox or the limit of descriptors does not permit it.
inline int open_counter(::pid_t tid, int signal, std::int64_t period_ns) noexcept {
  const errno_guard keep;
  ::perf_event_attr what{};
  what.type = PERF_TYPE_SOFTWARE;
  what.size = sizeof what;
  what.config = PERF_COUNT_SW_TASK_CLOCK;
  what.sample_period = static_cast<std::uint64_t>(period_ns);
  what.wakeup_events = 1;
  what.disabled = 1;
  what.exclude_kernel = 1;
  what.exclude_hv = 1;
  const int counter =
      static_cast<int>(::syscall(SYS_perf_event_open, &what, tid, -1, -1, PERF_FLAG_FD_CLOEXEC));
  if (counter < 0) return no_counter;
  ::f_owner_ex owner{};
  owner.type = F_OWNER_TID;
  owner.pid = tid;
  if (::fcntl(counter, F_SETFL, O_ASYNC | O_NONBLOCK) == 0 &&
      ::fcntl(counter, F_SETSIG, signal) == 0 && ::fcntl(counter, F_SETOWN_EX, &owner) == 0 &&
      ::ioctl(counter, PERF_EVENT_IOC_ENABLE, 0) == 0) {
    return counter;
  }
  close_counter(counter);
  return no_counter;
}

}  // namespace whence::inline v1::sys

#endif  // WHENCE_SYS_CPU_COUNTER_HPP
