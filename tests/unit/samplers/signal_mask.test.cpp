// SPDX-License-Identifier: Apache-2.0
//
// A program that blocks SIGPROF, to wait for signals in its own way, never meets one of ours.
#include <doctest/doctest.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <atomic>
#include <string>
#include <thread>

#include "support/cpu_probe.hpp"
#include "support/sanitizers.hpp"
#include <whence/cpu.hpp>
#include <whence/wall.hpp>

using namespace whence;
using namespace whence_tests;

namespace {

sigset_t every_signal() {
  sigset_t all;
  ::sigfillset(&all);
  return all;
}

constexpr timespec moment_of_waiting{0, 1'000'000};

// Each waits for a moment, and returns true if it met SIGPROF.
bool met_by_sigwait() {
  const sigset_t all = every_signal();
  return ::sigtimedwait(&all, nullptr, &moment_of_waiting) == SIGPROF;
}
bool met_by_signalfd() {
  const sigset_t all = every_signal();
  const int file = ::signalfd(-1, &all, SFD_NONBLOCK);
  signalfd_siginfo got{};
  const bool met = ::read(file, &got, sizeof got) == static_cast<ssize_t>(sizeof got);
  ::close(file);
  return met && got.ssi_signo == SIGPROF;
}
bool met_by_ppoll() {
  sigset_t none;
  ::sigemptyset(&none);
  return ::ppoll(nullptr, 0, &moment_of_waiting, &none) != 0;
}

struct blocked_signals {
  sigset_t before;
  blocked_signals() {
    const sigset_t all = every_signal();
    ::pthread_sigmask(SIG_SETMASK, &all, &before);
  }
  ~blocked_signals() { ::pthread_sigmask(SIG_SETMASK, &before, nullptr); }
};

bool says(const profile_snapshot& s, const char* text) {
  for (const std::string& c : s.header.comments) {
    if (c.find(text) != c.npos) return true;
  }
  return false;
}

}  // namespace

TEST_CASE("sigwait, signalfd and ppoll of a thread that blocks SIGPROF never meet it") {
  int i = 0;
  for (const auto met : {&met_by_sigwait, &met_by_signalfd, &met_by_ppoll}) {
    CAPTURE(i++);
    std::atomic<bool> ready{false}, over{false};
    std::atomic<int> ours{0};
    std::thread waiter([&] {
      const blocked_signals all;
      ready = true;
      while (!over) {
        compute_until(this_thread_ns() + 5'000'000);
        if (met()) ++ours;
      }
    });
    while (!ready) std::this_thread::yield();
    const cpu_session cpu({.hz = 250});
    const wall_session wall({.hz = 250});
    sleep_ms(700);
    const profile_snapshot s = cpu.snapshot();
    const profile_snapshot w = wall.snapshot();
    over = true;
    waiter.join();
    CHECK(ours == 0);
    // ThreadSanitizer has a thread that blocks all signals.
    CHECK(says(s, thread_sanitized ? "threads block SIGPROF" : "1 threads block SIGPROF"));
    CHECK(says(w, "block SIGPROF"));
    CHECK(time_of_frame(s, tables::pseudo::unsampled) > 0);
  }
}

TEST_CASE("a thread that begins to block SIGPROF is soon left alone, and later sampled again") {
  if (thread_sanitized) return;  // it has another that blocks all signals
  const cpu_session session({.hz = 1000});
  compute_until(this_thread_ns() + 50'000'000);
  int ours = 0;
  {
    const blocked_signals all;
    const auto blocked = [&] { return says(session.snapshot(), "threads block SIGPROF"); };
    for (int i = 0; i < 1000 && !blocked(); ++i) compute_until(this_thread_ns() + 20'000'000);
    // Kernels before 6.13 keep what was pending.
    while (met_by_sigwait()) {
    }
    compute_until(this_thread_ns() + 300'000'000);
    ours += met_by_sigwait() ? 1 : 0;
  }
  CHECK(ours == 0);
  const auto sampled = [&] {
    std::int64_t ns = 0;
    for (const profile_row& row : session.snapshot().rows) {
      if (row.stack[0] >= tables::pseudo::end) ns += row.values[1];
    }
    return ns;
  };
  const std::int64_t before = sampled();
  for (int i = 0; i < 1000 && sampled() == before; ++i)
    compute_until(this_thread_ns() + 20'000'000);
  CHECK(sampled() > before);
}

TEST_CASE("if a thread waits for SIGPROF, the process's timer is not used") {
  if (sanitized) return;
  // No thread can have a timer of its own there, for want of signals that the user may have queued.
  const ::pid_t child = ::fork();
  if (child == 0) {
    ::alarm(20);
    if (::getuid() == 0 && ::setuid(54322) != 0) ::_exit(0);
    const ::rlimit few{1, 1};
    if (::setrlimit(RLIMIT_SIGPENDING, &few) != 0) ::_exit(0);
    std::atomic<bool> ready{false}, over{false};
    std::atomic<int> ours{0};
    std::thread waiter([&] {
      const blocked_signals all;
      ready = true;
      while (!over) ours += met_by_sigwait() ? 1 : 0;
    });
    while (!ready) std::this_thread::yield();
    {
      const cpu_session session({.hz = 100});
      const blocked_signals here;
      compute_until(this_thread_ns() + 300'000'000);
      ours += met_by_sigwait() ? 1 : 0;
    }
    over = true;
    waiter.join();
    ::_exit(ours == 0 ? 0 : 1);
  }
  int status = 1;
  REQUIRE(::waitpid(child, &status, 0) == child);
  CHECK(status == 0);
}
