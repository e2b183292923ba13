// SPDX-License-Identifier: Apache-2.0
//
// Writing to a pipe or socket that has no reader raises SIGPIPE, whose default is to end the
// program. In the guard's scope this thread does not take it: the write fails with EPIPE and
// nothing else.
//
// The signal goes to the thread that wrote, so blocking it here disturbs no other thread, and the
// program's handler stays as it is. A SIGPIPE that was pending before the scope stays pending after
// it. Keeps errno. Never allocates.
#ifndef WHENCE_SYS_SIGPIPE_GUARD_HPP
#define WHENCE_SYS_SIGPIPE_GUARD_HPP

#include <signal.h>
#include <time.h>

#include <cerrno>

#include <whence/sys/errno_guard.hpp>

namespace whence::inline v1::sys {

class sigpipe_guard {
 public:
  sigpipe_guard() noexcept : pending_(pending()) {
    const sigset_t pipe = only_sigpipe();
    ::pthread_sigmask(SIG_BLOCK, &pipe, &before_);
  }
  ~sigpipe_guard() {
    const errno_guard keep;
    if (!pending_ && pending()) {
      const sigset_t pipe = only_sigpipe();
      const timespec at_once{};
      while (::sigtimedwait(&pipe, nullptr, &at_once) < 0 && errno == EINTR) {
      }
    }
    ::pthread_sigmask(SIG_SETMASK, &before_, nullptr);
  }
  sigpipe_guard(const sigpipe_guard&) = delete;
  sigpipe_guard& operator=(const sigpipe_guard&) = delete;

 private:
  static sigset_t only_sigpipe() noexcept {
    sigset_t set;
    ::sigemptyset(&set);
    ::sigaddset(&set, SIGPIPE);
    return set;
  }
  static bool pending() noexcept {
    sigset_t set;
    ::sigemptyset(&set);
    return ::sigpending(&set) == 0 && ::sigismember(&set, SIGPIPE) == 1;
  }

  bool pending_;
  sigset_t before_{};
};

}  // namespace whence::inline v1::sys

#endif  // WHENCE_SYS_SIGPIPE_GUARD_HPP
