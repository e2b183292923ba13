// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <atomic>
#include <cmath>
#include <fstream>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "support/cpu_probe.hpp"
#include "support/sanitizers.hpp"
#include <whence/cpu.hpp>
#include <whence/labels.hpp>
#include <whence/sys/clock.hpp>
#include <whence/wall.hpp>

using namespace whence;
using namespace whence_tests;

namespace {

// A sanitizer delays signals, so stacks do not show where the time was spent.
constexpr bool signals_are_prompt = !thread_sanitized;

std::atomic<int> interrupted{0};

[[gnu::noinline]] void wall_sleeps(std::int64_t ns) {
  const timespec t{static_cast<time_t>(ns / 1'000'000'000), static_cast<long>(ns % 1'000'000'000)};
  if (::nanosleep(&t, nullptr) != 0) ++interrupted;
  asm volatile("");
}
[[gnu::noinline]] void wall_computes(std::int64_t ns) {
  compute_until(this_thread_ns() + ns);
  asm volatile("");
}

// How long the calling thread was ready to run and had no processor, in nanoseconds, by the kernel
// (Documentation/scheduler/sched-stats.rst).
std::int64_t waited_for_processor() {
  std::ifstream file("/proc/thread-self/schedstat");
  std::int64_t ran = 0, waited = 0;
  file >> ran >> waited;
  return waited;
}

// The time of rows in that state; nullptr: in any.
double seconds_with(const profile_snapshot& s, const char* function, const char* state) {
  double sum = 0;
  for (const profile_row& row : s.rows) {
    if (!goes_through(row, function)) continue;
    if (state == nullptr || label_of(row, "state") == state)
      sum += static_cast<double>(row.values[1]) / 1e9;
  }
  return sum;
}

}  // namespace

// With 300 looks, one in each period, a share of 0.8 has a standard deviation of 2.3 points at
// most; the bound is 5 of them.
TEST_CASE("a thread that sleeps four fifths of the time is shown so, with both stacks") {
  interrupted = 0;
  wall_session session({.hz = 100});
  REQUIRE_FALSE(session.error());
  std::atomic<std::int64_t> slept{0};
  std::atomic<std::int64_t> lived{0}, ready{0};
  std::thread worker([&] {
    const scoped_labels scope{{"wall.handler", "/w"}};
    const std::int64_t begin = clock_now(CLOCK_MONOTONIC);
    while (clock_now(CLOCK_MONOTONIC) - begin < 3'000'000'000) {
      // Its length is random, so that it keeps step with no loop; and several ticks as a rule:
      // beside busy processes a thread that computes for less may meet none, and is then asleep
      // when it is looked at again.
      const auto ns = static_cast<std::int64_t>(40e6 * sys::uniform());
      const std::int64_t before = clock_now(CLOCK_MONOTONIC);
      wall_sleeps(4 * ns);
      slept += clock_now(CLOCK_MONOTONIC) - before;
      wall_computes(ns);
    }
    lived = clock_now(CLOCK_MONOTONIC) - begin;
    ready = waited_for_processor();
  });
  worker.join();
  session.stop();
  const profile_snapshot s = session.snapshot();
  CHECK(interrupted == 0);
  const double all = static_cast<double>(lived) / 1e9;
  const double asleep = static_cast<double>(slept) / 1e9;
  // A thread that has been woken may have to wait for a processor, which is no sleep.
  CHECK(std::abs(seconds_with(s, "wall_sleeps", nullptr) / all - asleep / all) < 0.115);
  if (signals_are_prompt) {
    const double computing = seconds_with(s, "wall_computes", "running") / all;
    const double unsampled = seconds_with(s, "[unsampled]", "running") / all;
    CHECK(computing < 1 - asleep / all + 0.115);
    CHECK(computing + unsampled > 1 - asleep / all - 0.115);
    // A thread that was looked at while it waited for a processor, and slept before the next tick,
    // has no stack to show.
    CHECK(unsampled < 0.05 + static_cast<double>(ready) / 1e9 / all);
  }
  bool complete = false;
  for (const profile_row& row : s.rows) {
    if (!goes_through(row, "wall_sleeps") && !goes_through(row, "wall_computes")) continue;
    CHECK(row.leaf_is_ip);
    CHECK_FALSE(row.truncated);
    const bool labelled = label_of(row, "wall.handler") == "/w";
    CHECK(labelled);
    complete = complete || goes_through(row, "start_thread") || goes_through(row, "clone");
  }
  CHECK(complete);
  CHECK(s.header.name == "wall");
  CHECK(s.header.period == 10'000'000);
  CHECK(s.header.duration_ns >= 3'000'000'000);
}

TEST_CASE("every thread is counted for all of the time, in all states") {
  std::atomic<bool> done{false};
  std::vector<std::thread> threads;
  for (int i = 0; i < 20; ++i) {
    threads.emplace_back([&] {
      while (!done) wall_sleeps(20'000'000);
    });
  }
  wall_session session({.hz = 200});
  sleep_ms(1000);
  session.stop();
  done = true;
  for (auto& t : threads) t.join();
  const profile_snapshot s = session.snapshot();
  const auto duration = static_cast<double>(s.header.duration_ns) / 1e9;
  const double seen = seconds_with(s, "wall_sleeps", "waiting") / 20;
  CHECK(std::abs(seen / duration - 1) < 0.1);
}

// Its processor is taken by another process for longer than a thread that runs takes to answer.
TEST_CASE("a thread that waits for its processor is counted at its stack") {
  std::atomic<bool> over{false};
  std::atomic<::pid_t> tid{0};
  std::thread waiter([&] {
    cpu_set_t first;
    CPU_ZERO(&first);
    CPU_SET(0, &first);
    ::sched_setaffinity(0, sizeof first, &first);
    const sched_param idle{};
    ::sched_setscheduler(0, SCHED_IDLE, &idle);
    tid = ::gettid();
    while (!over) wall_computes(1'000'000);
  });
  while (tid == 0) std::this_thread::yield();
  const ::pid_t busy = ::fork();
  REQUIRE(busy >= 0);
  if (busy == 0) {
    cpu_set_t first;
    CPU_ZERO(&first);
    CPU_SET(0, &first);
    ::sched_setaffinity(0, sizeof first, &first);
    ::alarm(60);
    for (volatile int i = 0;;) i = 1 - i;
  }
  wall_session session({.hz = 100});
  sleep_ms(2000);
  ::kill(busy, SIGKILL);
  ::waitpid(busy, nullptr, 0);
  // It runs again, and answers at the first tick that it meets.
  const std::int64_t due = sys::thread_cpu_ns(tid) + 500'000'000;
  while (sys::thread_cpu_ns(tid) < due) sleep_ms(10);
  session.stop();
  over = true;
  waiter.join();
  const profile_snapshot s = session.snapshot();
  if (signals_are_prompt) CHECK(seconds_with(s, "wall_computes", "running") > 1.8);
}

TEST_CASE("sleeps and polls end neither early nor with an error") {
  interrupted = 0;
  std::atomic<bool> done{false};
  std::atomic<int> rounds{0};
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] {
      while (!done) {
        if (::poll(nullptr, 0, 1) != 0) ++interrupted;
        wall_sleeps(300'000);
        ++rounds;
      }
    });
  }
  wall_session session({.hz = 1000});
  cpu_session both({.hz = 1000});
  sleep_ms(700);
  done = true;
  for (auto& t : threads) t.join();
  CHECK(rounds > 50);
  CHECK(interrupted == 0);
}

TEST_CASE("wall sessions overlap, and a child of fork begins its own") {
  CHECK_THROWS_AS(wall_session({.hz = 0}), std::invalid_argument);
  const auto seconds = [](const wall_session& s) {
    return seconds_with(s.snapshot(), "wall_sleeps", "waiting");
  };
  wall_session longest({.hz = 500});
  wall_sleeps(50 * ms);
  wall_session shorter;
  wall_sleeps(200 * ms);
  shorter.stop();
  wall_sleeps(50 * ms);
  const pid_t child = ::fork();
  if (child == 0) {
    if (thread_sanitized) ::_exit(0);  // it allows no new thread there
    wall_session own({.hz = 500});
    wall_sleeps(100 * ms);
    longest.stop();
    own.stop();
    ::_exit(seconds(own) > 0.07 ? 0 : 1);
  }
  int status = -1;
  CHECK(::waitpid(child, &status, 0) == child);
  CHECK(status == 0);
  longest.stop();
  CHECK(seconds(shorter) > 0.17);
  CHECK(seconds(longest) > seconds(shorter));
}

// Runs in a child, whose sampler has not run yet.
TEST_CASE("a session whose thread could not be started leaves nothing to the next") {
  if (thread_sanitized) return;  // it allows no new thread in the child
  const pid_t child = ::fork();
  if (child == 0) {
    pthread_attr_t usual, too_large;
    ::pthread_getattr_default_np(&usual);
    ::pthread_attr_init(&too_large);
    ::pthread_attr_setstacksize(&too_large, std::size_t{1} << 47);
    ::pthread_setattr_default_np(&too_large);
    {
      const wall_session refused;
      if (refused.error() != std::errc::resource_unavailable_try_again) ::_exit(1);
    }
    ::pthread_setattr_default_np(&usual);
    wall_computes(500 * ms);
    wall_session next;
    wall_computes(100 * ms);
    next.stop();
    const profile_snapshot s = next.snapshot();
    if (next.error() || s.rows.empty()) ::_exit(2);
    ::_exit(time_in_all(s) < s.header.duration_ns + 100 * ms ? 0 : 3);
  }
  int status = -1;
  CHECK(::waitpid(child, &status, 0) == child);
  CHECK(status == 0);
}
