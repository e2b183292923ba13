// SPDX-License-Identifier: Apache-2.0
//
// Functions with known names and known CPU time, and what a snapshot says about them.
#ifndef WHENCE_TESTS_CPU_PROBE_HPP
#define WHENCE_TESTS_CPU_PROBE_HPP

#include <time.h>

#include <atomic>
#include <cstdint>
#include <string_view>

#include "wait_probe.hpp"
#include <whence/snapshots/snapshot.hpp>
#include <whence/sys/random.hpp>
#include <whence/tables/pseudo_frame.hpp>

namespace whence_tests {

inline std::int64_t clock_now(::clockid_t clock) {
  ::timespec t{};
  ::clock_gettime(clock, &t);
  return std::int64_t{t.tv_sec} * 1'000'000'000 + t.tv_nsec;
}

inline std::int64_t this_thread_ns() {
  return clock_now(CLOCK_THREAD_CPUTIME_ID);
}

inline void compute_until(std::int64_t end_ns) {
  volatile double x = 1;
  while (this_thread_ns() < end_ns) {
    for (int i = 0; i < 5000; ++i) x = x * 1.0000001 + 0.5;
  }
}

// Each uses so much CPU time, beyond the earlier requests: `due_ns` is the sum of all requests.
[[gnu::noinline]] inline void cpu_seventy(std::int64_t& due_ns, std::int64_t ns) {
  compute_until(due_ns += ns);
  asm volatile("");
}
[[gnu::noinline]] inline void cpu_twenty(std::int64_t& due_ns, std::int64_t ns) {
  compute_until(due_ns += ns);
  asm volatile("" ::: "memory");
}
[[gnu::noinline]] inline void cpu_ten(std::int64_t& due_ns, std::int64_t ns) {
  compute_until(due_ns += ns);
  asm volatile("nop");
}

// The CPU time that the three really used: more than requested if a virtual machine's clock jumps.
inline std::atomic<std::int64_t> had_seventy{0}, had_twenty{0}, had_ten{0};

// Computes in rounds of random length, so that none keeps step with the kernel's tick. Returns the
// used time in seconds.
inline double compute_split(double seconds) {
  const std::int64_t begin = this_thread_ns();
  std::int64_t due = begin;
  std::int64_t now = begin;
  const std::int64_t end = due + static_cast<std::int64_t>(seconds * 1e9);
  const auto count = [&now](std::atomic<std::int64_t>& had) {
    had += this_thread_ns() - now;
    now = this_thread_ns();
  };
  while (due < end) {
    const auto tenth = static_cast<std::int64_t>(whence::sys::uniform() * 1e6);
    cpu_seventy(due, 7 * tenth);
    count(had_seventy);
    cpu_twenty(due, 2 * tenth);
    count(had_twenty);
    cpu_ten(due, tenth);
    count(had_ten);
  }
  return static_cast<double>(this_thread_ns() - begin) / 1e9;
}

// Nanoseconds of the rows that go through a function.
inline std::int64_t time_through(const whence::profile_snapshot& s, std::string_view function) {
  std::int64_t ns = 0;
  for (const whence::profile_row& row : s.rows) {
    if (goes_through(row, function)) ns += row.values[1];
  }
  return ns;
}

inline std::int64_t time_in_all(const whence::profile_snapshot& s) {
  std::int64_t ns = 0;
  for (const whence::profile_row& row : s.rows) ns += row.values[1];
  return ns;
}

inline std::int64_t time_of_frame(const whence::profile_snapshot& s, std::uintptr_t pseudo) {
  std::int64_t ns = 0;
  for (const whence::profile_row& row : s.rows) {
    if (row.stack[0] == pseudo) ns += row.values[1];
  }
  return ns;
}

inline std::int64_t samples_in(const whence::profile_snapshot& s) {
  std::int64_t n = 0;
  for (const whence::profile_row& row : s.rows) n += row.values[0];
  return n;
}

}  // namespace whence_tests

#endif  // WHENCE_TESTS_CPU_PROBE_HPP
