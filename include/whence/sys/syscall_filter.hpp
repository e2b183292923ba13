// SPDX-License-Identifier: Apache-2.0
//
// Filters of system calls (man 2 seccomp) may end the process for a call they do not expect:
// systemd's SystemCallFilter=@system-service does so for perf_event_open. What a filter allows
// cannot be asked without risk, so under a filter only system calls are used that any program
// makes. WHENCE_SECCOMP=ignore in the environment tells that the filter permits them all.
#ifndef WHENCE_SYS_SYSCALL_FILTER_HPP
#define WHENCE_SYS_SYSCALL_FILTER_HPP

#include <fcntl.h>
#include <unistd.h>

#include <atomic>
#include <cstddef>
#include <cstdlib>
#include <string_view>

#include <whence/sys/errno_guard.hpp>
#include <whence/sys/no_cancel.hpp>

namespace whence::inline v1::sys {

// True if this thread was under a filter when look_for_filter() was called; filters stay for good.
[[gnu::visibility("hidden")]] inline constinit std::atomic<bool> is_filtered{false};

// Reads the mode of the calling thread from /proc; prctl(PR_GET_SECCOMP) may itself be forbidden.
// Called as each session and each dump begins, because a program sets its filter when it is ready.
// Thread-safe, not for signal handlers. Costs some 10 us.
inline void look_for_filter() noexcept {
  if (is_filtered.load(std::memory_order_relaxed)) return;
  const errno_guard keep;
  const no_cancel uncancelled;
  const char* const wish = std::getenv("WHENCE_SECCOMP");
  if (wish != nullptr && std::string_view(wish) == "ignore") return;
  const int file = ::open("/proc/thread-self/status", O_RDONLY | O_CLOEXEC);
  if (file < 0) return;
  char text[4096];
  std::size_t size = 0;
  for (ssize_t got = 1; got > 0 && size < sizeof text;) {
    got = ::read(file, text + size, sizeof text - size);
    if (got > 0) size += static_cast<std::size_t>(got);
  }
  ::close(file);
  constexpr std::string_view filter_mode = "\nSeccomp:\t2\n";
  if (std::string_view(text, size).find(filter_mode) != std::string_view::npos) {
    is_filtered.store(true, std::memory_order_relaxed);
  }
}

}  // namespace whence::inline v1::sys

#endif  // WHENCE_SYS_SYSCALL_FILTER_HPP
