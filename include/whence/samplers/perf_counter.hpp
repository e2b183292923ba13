// SPDX-License-Identifier: Apache-2.0
//
// A counter of a thread's CPU time that signals it more often than the kernel's tick: perf_event's
// task clock, with the kernel's time excluded. So it needs no privilege, and the signal comes only
// while the thread is in its own code: no system call is ever interrupted.
// (man perf_event_open: PERF_COUNT_SW_TASK_CLOCK, exclude_kernel, "Overflow handling")
//
// A counter is a file descriptor. Signal-safe. Keeps errno.
#ifndef WHENCE_SAMPLERS_PERF_COUNTER_HPP
#define WHENCE_SAMPLERS_PERF_COUNTER_HPP

#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdint>

#include <whence/sys/errno_guard.hpp>
#include <whence/sys/syscall_filter.hpp>

namespace whence::inline v1::samplers {

class perf_fds {
 public:
  // False if the number is too high to be remembered.
  bool add(int number) noexcept {
    if (!is_in_range(number)) return false;
    word(number).fetch_or(bit(number), std::memory_order_relaxed);
    return true;
  }

  bool has(int number) const noexcept {
    return is_in_range(number) &&
           (words_[number / 64].load(std::memory_order_relaxed) & bit(number)) != 0;
  }

 private:
  static constexpr int count = 1 << 14;
  static bool is_in_range(int number) noexcept { return number >= 0 && number < count; }
  static std::uint64_t bit(int number) noexcept { return std::uint64_t{1} << number % 64; }
  std::atomic<std::uint64_t>& word(int number) noexcept { return words_[number / 64]; }

  std::atomic<std::uint64_t> words_[count / 64]{};
};

inline constexpr int no_counter = -1;

// The attributes that the kernel expects, in their first version (linux/perf_event.h,
// PERF_ATTR_SIZE_VER0); that header is a thousand lines.
namespace perf {
struct attributes {
  std::uint32_t type, size;
  std::uint64_t config, sample_period, sample_type, read_format, flags;
  std::uint32_t wakeup_events, breakpoint_type;
  std::uint64_t breakpoint_address;
};
static_assert(sizeof(attributes) == 64);
inline constexpr std::uint32_t type_software = 1;
inline constexpr std::uint64_t task_clock = 1;
inline constexpr std::uint64_t disabled = 1, exclude_kernel = 1 << 5, exclude_hypervisor = 1 << 6;
inline constexpr unsigned long close_on_exec = 1 << 3;
inline constexpr unsigned long enable = 0x2400, disable = 0x2401, set_period = 0x40082404;  // ioctl
}  // namespace perf

// True if the descriptor still is that thread's counter. A program that closes every descriptor it
// does not know (close_range) may have another file there by now. The kernel reports no tid for a
// thread that has ended. A descriptor that still has our signal for a thread is then a counter: the
// program would give no other file that signal.
inline bool is_counter_of(int number, ::pid_t tid, int signal) noexcept {
  if (number == no_counter) return false;
  const sys::errno_guard keep;
  ::f_owner_ex owner{};
  return ::fcntl(number, F_GETSIG) == signal && ::fcntl(number, F_GETOWN_EX, &owner) == 0 &&
         owner.type == F_OWNER_TID && (owner.pid == tid || owner.pid == 0);
}

inline void close_counter(int counter) noexcept {
  const sys::errno_guard keep;
  // It must be quiet even if a child of fork holds it open.
  ::ioctl(counter, perf::disable, 0);
  ::close(counter);
}

// Signals the thread after every `period_ns` of its CPU time that ends in its own code (10 us at
// least), once it is enabled. Returns no_counter if the kernel, a sandbox or the limit of
// descriptors does not permit it, or a filter of system calls may not.
inline int open_counter(::pid_t tid, int signal, std::int64_t period_ns) noexcept {
  if (sys::is_filtered.load(std::memory_order_relaxed)) return no_counter;
  const sys::errno_guard keep;
  perf::attributes what{};
  what.type = perf::type_software;
  what.size = sizeof what;
  what.config = perf::task_clock;
  what.sample_period = static_cast<std::uint64_t>(period_ns);
  what.flags = perf::disabled | perf::exclude_kernel | perf::exclude_hypervisor;
  what.wakeup_events = 1;
  const int counter =
      static_cast<int>(::syscall(SYS_perf_event_open, &what, tid, -1, -1, perf::close_on_exec));
  if (counter < 0) return no_counter;
  ::f_owner_ex owner{};
  owner.type = F_OWNER_TID;
  owner.pid = tid;
  if (::fcntl(counter, F_SETFL, O_ASYNC | O_NONBLOCK) == 0 &&
      ::fcntl(counter, F_SETSIG, signal) == 0 && ::fcntl(counter, F_SETOWN_EX, &owner) == 0) {
    return counter;
  }
  close_counter(counter);
  return no_counter;
}

// Takes effect at the next overflow. Signal-safe.
inline void set_counter_period(int counter, std::int64_t period_ns) noexcept {
  const sys::errno_guard keep;
  auto period = static_cast<std::uint64_t>(period_ns);
  ::syscall(SYS_ioctl, counter, perf::set_period, &period);
}

inline bool enable_counter(int counter) noexcept {
  const sys::errno_guard keep;
  return ::ioctl(counter, perf::enable, 0) == 0;
}

}  // namespace whence::inline v1::samplers

#endif  // WHENCE_SAMPLERS_PERF_COUNTER_HPP
