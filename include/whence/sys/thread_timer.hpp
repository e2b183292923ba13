// SPDX-License-Identifier: Apache-2.0
//
// A timer on the CPU clock of one thread, which any thread may make, and which signals that thread
// alone, carrying a pointer. It uses system calls, because glibc hides the kernel's number of a
// timer, by which a handler recognizes it.
//
// The kernel checks such timers at its tick, while the thread runs, and sends the signal on its way
// out of the kernel: so it never ends a sleeping system call (since Linux 5.9). Signal-safe. Keeps
// errno.
#ifndef WHENCE_SYS_THREAD_TIMER_HPP
#define WHENCE_SYS_THREAD_TIMER_HPP

#include <signal.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <cerrno>
#include <climits>
#include <cstdint>

#include <whence/sys/clock.hpp>
#include <whence/sys/errno_guard.hpp>

// glibc has no public name for the thread a signal goes to before 2.38.
#ifndef sigev_notify_thread_id
#define WHENCE_SIGEV_TID _sigev_un._tid
#else
#define WHENCE_SIGEV_TID sigev_notify_thread_id
#endif

namespace whence::inline v1::sys {

inline constexpr int no_timer = -1;

// How many timers `part` of RLIMIT_SIGPENDING allows: each takes one of the signals that the user
// may have queued, in all processes, so the limit is not ours alone.
inline long affordable_timers(int part) noexcept {
  const errno_guard keep;
  const long limit = ::sysconf(_SC_SIGQUEUE_MAX);
  return limit < 0 ? LONG_MAX : limit / part;
}

// Returns no_timer if the kernel refuses one (`starved`: RLIMIT_SIGPENDING, a sandbox), or if the
// thread has ended.
inline int make_thread_timer(::pid_t tid, int signal, void* carried, bool& starved) noexcept {
  const errno_guard keep;
  ::sigevent event{};
  event.sigev_notify = SIGEV_THREAD_ID;
  event.sigev_signo = signal;
  event.sigev_value.sival_ptr = carried;
  event.WHENCE_SIGEV_TID = tid;
  int id = no_timer;
  if (::syscall(SYS_timer_create, thread_clock(tid), &event, &id) == 0) return id;
  starved = errno != EINVAL && errno != ESRCH;
  return no_timer;
}

// Fires first after `first_ns` of the thread's CPU time, then every `period_ns`; 0: only once.
inline void arm_timer(int id, std::int64_t first_ns, std::int64_t period_ns) noexcept {
  const errno_guard keep;
  const auto time = [](std::int64_t ns) {
    ::timespec t{};
    t.tv_sec = static_cast<time_t>(ns / 1'000'000'000);
    t.tv_nsec = static_cast<long>(ns % 1'000'000'000);
    return t;
  };
  ::itimerspec when{};
  when.it_value = time(first_ns > 0 ? first_ns : 1);
  when.it_interval = time(period_ns);
  ::syscall(SYS_timer_settime, id, 0, &when, nullptr);
}

inline void delete_timer(int id) noexcept {
  const errno_guard keep;
  ::syscall(SYS_timer_delete, id);
}

}  // namespace whence::inline v1::sys

#undef WHENCE_SIGEV_TID

#endif  // WHENCE_SYS_THREAD_TIMER_HPP
