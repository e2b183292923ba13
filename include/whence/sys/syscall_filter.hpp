// SPDX-License-Identifier: Apache-2.0
//
// Filters of system calls (man 2 seccomp) may end the process for a call they do not expect:
// systemd's SystemCallFilter=@system-service does so for perf_event_open. Asking a filter what it
// allows is itself a risk, so under a filter only system calls are used that every program makes.
// WHENCE_SECCOMP=ignore in the environment tells that the filter permits them all.
#ifndef WHENCE_SYS_SYSCALL_FILTER_HPP
#define WHENCE_SYS_SYSCALL_FILTER_HPP

#include <fcntl.h>
#include <unistd.h>

#include <atomic>
#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <string_view>

#include <whence/sys/cancel_guard.hpp>
#include <whence/sys/errno_guard.hpp>

namespace whence::inline v1::sys {

// True if this thread was under a filter when look_for_filter() was called; filters stay for good.
[[gnu::visibility("hidden")]] inline constinit std::atomic<bool> is_filtered{false};

// Reads the mode of the calling thread from /proc; prctl(PR_GET_SECCOMP) may itself be forbidden.
// Called as each session and each dump begins, because a program sets its filter when it is ready.
// Thread-safe, not for signal handlers. Costs some 10 us.
inline void look_for_filter() noexcept {
  if (is_filtered.load(std::memory_order_relaxed)) return;
  const errno_guard keep;
  const cancel_guard uncancelled;
  const int file = ::open("/proc/thread-self/status", O_RDONLY | O_CLOEXEC);
  if (file < 0) return;
  // Read in pieces, since the line before it that lists groups may be long. Each piece begins with
  // the end of the previous one, in case a line is cut in two.
  constexpr std::string_view filter_mode = "\nSeccomp:\t2\n";
  char text[4096];
  std::size_t kept = 0;
  bool found = false;
  while (!found) {
    const ssize_t got = ::read(file, text + kept, sizeof text - kept);
    if (got <= 0) break;
    const std::string_view piece(text, kept + static_cast<std::size_t>(got));
    found = piece.find(filter_mode) != std::string_view::npos;
    kept = piece.size() < filter_mode.size() ? piece.size() : filter_mode.size() - 1;
    std::memmove(text, piece.data() + piece.size() - kept, kept);
  }
  ::close(file);
  if (!found) return;
  const char* const wish = std::getenv("WHENCE_SECCOMP");
  if (wish != nullptr && std::string_view(wish) == "ignore") return;
  is_filtered.store(true, std::memory_order_relaxed);
}

}  // namespace whence::inline v1::sys

#endif  // WHENCE_SYS_SYSCALL_FILTER_HPP
