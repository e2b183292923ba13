// SPDX-License-Identifier: Apache-2.0
//
// Whether a thread takes a signal. One that is sent to a thread that blocks it stays pending, and
// goes to the thread's own sigwait or signalfd, or ends the call that unblocks it: so a sender must
// ask first. The kernel shows the mask of the moment:
//
//   on a processor, sleeps          its own mask
//   asleep in sigwait and the like  its own mask, less what it waits for
//   asleep in ppoll and the like    the mask of the call; its own comes back when the call returns
//
// Signal-safe. Keeps errno. Some 20 us.
#ifndef WHENCE_SYS_SIGNAL_MASK_HPP
#define WHENCE_SYS_SIGNAL_MASK_HPP

#include <fcntl.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <unistd.h>

#include <cstddef>
#include <cstdint>

#include <whence/sys/clock.hpp>
#include <whence/sys/errno_guard.hpp>
#include <whence/sys/proc_task.hpp>

namespace whence::inline v1::sys {

// A line of /proc/self/task/TID/status that is looked for as the file goes by: the file may be
// long, since one of its lines holds all groups of the user.
struct status_line {
  static constexpr std::size_t size = 16;
  const char* head;
  char value[size]{};  // what follows `head`
  std::size_t matched = 0, taken = 0;

  bool is_found() const noexcept { return taken == size; }
  std::int64_t number() const noexcept {
    std::int64_t n = 0;
    for (std::size_t i = 0; i < taken && value[i] >= '0' && value[i] <= '9'; ++i) {
      n = 10 * n + (value[i] - '0');
    }
    return n;
  }
  void take(char c) noexcept {
    if (is_found()) return;
    if (head[matched] == '\0') {
      value[taken++] = c;
    } else {
      matched = c == head[matched] ? matched + 1 : c == head[0] ? 1 : 0;
    }
  }
};

// The result of the previous look.
struct mask_history {
  std::int64_t sleeps = -1;
  std::int64_t cpu_ns = 0;
};

struct task_mask {
  bool is_known = false;
  bool blocks = false;
  bool is_own = false;  // if it does not sleep, it is outside of such calls
};

// Whether a thread blocks a signal at this moment. A thread that does not sleep may still be inside
// such a call, ready to run. It is outside if it is on a processor, or if it has run and not slept
// since the previous look.
inline task_mask mask_now(::pid_t tid, int signal, mask_history& before) noexcept {
  const errno_guard keep;
  task_mask result;
  const int file = open_task_file(tid, "status");
  if (file < 0) return result;
  const std::int64_t cpu = thread_cpu_ns(tid);
  status_line blocked{"\nSigBlk:\t"};  // hexadecimal digits; bit 0 is signal 1
  status_line sleeps{"\nvoluntary_ctxt_switches:\t"};
  char text[512];
  ssize_t n = 0;
  while ((n = ::read(file, text, sizeof text)) > 0) {
    for (ssize_t i = 0; i < n; ++i) {
      blocked.take(text[i]);
      sleeps.take(text[i]);
    }
  }
  ::close(file);
  if (!blocked.is_found()) return result;
  const int bit = signal - 1;
  const char digit = blocked.value[15 - bit / 4];
  const int value = digit >= 'a' ? digit - 'a' + 10 : digit - '0';
  result.is_known = true;
  result.blocks = (value >> bit % 4 & 1) != 0;
  constexpr std::int64_t longest_return = 50'000;  // from a call, on a processor
  const std::int64_t now = thread_cpu_ns(tid);
  const std::int64_t slept = sleeps.number();
  result.is_own = now > cpu || (slept == before.sleeps && cpu - before.cpu_ns > longest_return);
  before = {slept, now};
  return result;
}

inline bool blocks_signal(::pid_t tid, int signal) noexcept {
  mask_history none;
  return mask_now(tid, signal, none).blocks;
}

// True if the thread sleeps in a call that has changed its mask.
inline bool sleeps_with_another_mask(const sleeping_task& t) noexcept {
  switch (t.number) {
    case SYS_rt_sigsuspend:
    case SYS_rt_sigtimedwait:
      return true;
    case SYS_ppoll:
      return t.arguments[3] != 0;
    case SYS_epoll_pwait:
#ifdef SYS_epoll_pwait2
    case SYS_epoll_pwait2:
#endif
      return t.arguments[4] != 0;
    case SYS_pselect6:
      return t.arguments[5] != 0;  // a pointer to the mask and its size; libc gives it always
    default:
      return false;
  }
}

// hidden: what the kernel shows may not be the thread's own mask.
enum class signal_use : unsigned char { takes, blocks, hidden };

// A thread that has blocked a signal, or may have, counts as blocking it until this many looks have
// found it unblocked: a single look may come at the very beginning of a call that changes its mask.
inline constexpr int enough_open_looks = 3;

// A thread of this process. But for the calling one it needs /proc: `takes` if that is missing.
inline signal_use use_of_signal(::pid_t tid, int signal, mask_history& before) noexcept {
  if (tid == ::gettid()) {
    sigset_t now;
    ::sigemptyset(&now);
    ::pthread_sigmask(SIG_SETMASK, nullptr, &now);
    return ::sigismember(&now, signal) == 1 ? signal_use::blocks : signal_use::takes;
  }
  const std::int64_t cpu = thread_cpu_ns(tid);
  const sleeping_task task = read_syscall(tid);
  const task_mask mask = mask_now(tid, signal, before);
  if (!mask.is_known || task.state == task_state::gone) return signal_use::takes;
  if (mask.blocks) return signal_use::blocks;
  if (task.state == task_state::running) {
    return mask.is_own ? signal_use::takes : signal_use::hidden;
  }
  const bool same_sleep = thread_cpu_ns(tid) == cpu;
  const bool shown = task.state == task_state::sleeping && !sleeps_with_another_mask(task);
  return same_sleep && shown ? signal_use::takes : signal_use::hidden;
}

}  // namespace whence::inline v1::sys

#endif  // WHENCE_SYS_SIGNAL_MASK_HPP
