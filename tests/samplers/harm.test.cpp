// SPDX-License-Identifier: Apache-2.0
//
// What a sampler must not do to a program that does unusual things with signals and processes.
#include <doctest/doctest.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <string>
#include <thread>

#include "../cpu_probe.hpp"
#include "../sanitizers.hpp"
#include <whence/cpu.hpp>
#include <whence/labels.hpp>
#include <whence/profile.hpp>
#include <whence/wall.hpp>

using namespace whence;
using namespace whence_tests;

namespace {

sigjmp_buf way_out;
std::atomic<int> handled{0};

void leaves_by_jump(int) {
  ++handled;
  ::siglongjmp(way_out, 1);
}

void* computes_for_ever(void*) {
  ::pthread_setcanceltype(PTHREAD_CANCEL_ASYNCHRONOUS, nullptr);
  volatile double x = 1;
  for (;;) x = x * 1.0000001 + 0.5;
}

}  // namespace

TEST_CASE("a thread of system calls alone is not counted twice, at any rate") {
  for (const int hz : {100, 1000}) {
    const std::int64_t before = clock_now(CLOCK_PROCESS_CPUTIME_ID);
    const cpu_session session({.hz = hz});
    const std::int64_t end = this_thread_ns() + 1'000'000'000;
    while (this_thread_ns() < end) {
      for (int i = 0; i < 1000; ++i) ::syscall(SYS_getppid);
    }
    const profile_snapshot s = session.snapshot();
    const auto used = static_cast<double>(clock_now(CLOCK_PROCESS_CPUTIME_ID) - before);
    // A tick in 250 is 0.4 %; counted twice it was a third.
    CHECK(static_cast<double>(time_in_all(s)) < 1.1 * used);
  }
}

TEST_CASE("a program's handler that leaves by siglongjmp is called every time") {
  if (thread_sanitized) return;  // it calls handlers itself, later
  struct sigaction program {};
  struct sigaction before {};
  program.sa_handler = &leaves_by_jump;
  REQUIRE(::sigaction(SIGPROF, &program, &before) == 0);
  {
    const cpu_session session;
    handled = 0;
    for (int i = 0; i < 5; ++i) {
      if (::sigsetjmp(way_out, 1) == 0) ::raise(SIGPROF);
    }
    CHECK(handled == 5);
  }
  ::sigaction(SIGPROF, &before, nullptr);
}

TEST_CASE("a program's handler that is for one signal is called once") {
  if (thread_sanitized) return;
  struct sigaction program {};
  struct sigaction before {};
  program.sa_handler = [](int) { ++handled; };
  program.sa_flags = static_cast<int>(SA_RESETHAND);
  REQUIRE(::sigaction(SIGPROF, &program, &before) == 0);
  {
    const cpu_session session;
    handled = 0;
    for (int i = 0; i < 3; ++i) ::raise(SIGPROF);
    CHECK(handled == 1);
  }
  ::sigaction(SIGPROF, &before, nullptr);
}

TEST_CASE(
    "where the kernel does not tell where a thread sleeps, its time is there, and it sleeps on") {
  // A process of its own, which gives up what it may read of itself.
  const ::pid_t child = ::fork();
  if (child == 0) {
    if (::getuid() == 0 && ::setuid(65534) != 0) ::_exit(1);
    ::prctl(PR_SET_DUMPABLE, 0);
    std::atomic<bool> slept{false};
    std::atomic<int> result{-1};
    std::thread sleeper([&] {
      const scoped_labels names{{"who", "sleeper"}};
      timespec t{1, 0};
      slept = true;
      result = ::nanosleep(&t, nullptr);
    });
    while (!slept) std::this_thread::yield();
    const wall_session session;
    std::string text;
    const bool dumped = !lookup("goroutine")->write_to(text, 2);
    sleeper.join();
    const profile_snapshot s = session.snapshot();
    std::int64_t waiting = 0;
    for (const profile_row& row : s.rows) {
      bool its = false, waits = false;
      for (const label& l : row.labels) {
        its = its || l.value == "sleeper";
        waits = waits || l.value == "waiting";
      }
      if (its && waits) waiting += row.values[1];
    }
    bool said = false;
    for (const std::string& c : s.header.comments) {
      said = said || c.find("might not read /proc/self/task") != c.npos;
    }
    const bool shown =
        text.find("[waiting, ") != text.npos && text.find("may not be read") != text.npos;
    ::_exit(result == 0 && dumped && shown && said && waiting > 700'000'000 ? 0 : 1);
  }
  int status = 0;
  REQUIRE(::waitpid(child, &status, 0) == child);
  CHECK(WIFEXITED(status));
  CHECK(WEXITSTATUS(status) == 0);
}

TEST_CASE("threads that are cancelled at any instruction are cancelled") {
  if (sanitized) return;
  const cpu_session session({.hz = 1000});
  const wall_session clock;
  for (int i = 0; i < 100; ++i) {
    pthread_t t;
    REQUIRE(::pthread_create(&t, nullptr, &computes_for_ever, nullptr) == 0);
    std::this_thread::sleep_for(std::chrono::milliseconds(3));
    ::pthread_cancel(t);
    void* result = nullptr;
    REQUIRE(::pthread_join(t, &result) == 0);
    CHECK(result == PTHREAD_CANCELED);
  }
}

TEST_CASE("a child that fork's handlers know nothing of has its own samplers") {
  if (sanitized) return;
  cpu_session inherited;
  const ::pid_t child = ::_Fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    ::alarm(20);
    inherited.stop();  // not the child's: nothing to wait for
    cpu_session own({.hz = 100});
    compute_until(this_thread_ns() + 300'000'000);
    std::int64_t sampled = 0;
    for (const profile_row& row : own.snapshot().rows) {
      if (row.stack[0] >= stack::pseudo::end) sampled += row.values[1];
    }
    ::_exit(sampled > 100'000'000 ? 0 : 1);
  }
  int status = 1;
  REQUIRE(::waitpid(child, &status, 0) == child);
  CHECK(status == 0);
}
