// SPDX-License-Identifier: Apache-2.0
//
// CPU time as a sampler meets it. On a loaded machine a thread may run from one tick to before the
// next, and 100 ms of its CPU time may have no tick at all. Where a test needs samples, it computes
// until a timer of the same kind has met the thread often enough.
#ifndef WHENCE_TESTS_TICKS_HPP
#define WHENCE_TESTS_TICKS_HPP

#include <doctest/doctest.h>
#include <pthread.h>
#include <signal.h>
#include <unistd.h>

#include <csignal>

#include "cpu_probe.hpp"
#include <whence/sys/thread_timer.hpp>

namespace whence_tests {

inline thread_local volatile std::sig_atomic_t ticks_of_this_thread = 0;

// Computes until a timer with a period of `period_ns` on the thread's CPU clock has signalled
// `count` times. A sampler with such a timer signals as often, or once more or less.
inline void compute_ticks(int count, long period_ns = 5'000'000) {
  const int number = SIGRTMIN + 2;
  struct sigaction action {};
  action.sa_handler = [](int) { ticks_of_this_thread = ticks_of_this_thread + 1; };
  action.sa_flags = SA_RESTART;
  REQUIRE(::sigaction(number, &action, nullptr) == 0);
  bool starved = false;
  const int timer = whence::sys::make_thread_timer(::gettid(), number, nullptr, starved);
  REQUIRE(timer != whence::sys::no_timer);
  const int end = ticks_of_this_thread + count;
  whence::sys::arm_timer(timer, period_ns, period_ns);
  // It reads the clock between the parts, because ThreadSanitizer handles signals only in calls.
  while (ticks_of_this_thread < end) compute_until(this_thread_ns() + 100'000);
  whence::sys::delete_timer(timer);
}

}  // namespace whence_tests

#endif  // WHENCE_TESTS_TICKS_HPP
