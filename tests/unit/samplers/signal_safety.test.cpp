// SPDX-License-Identifier: Apache-2.0
//
// A sampler must not harm programs that use signals and processes in unusual ways.
#include <doctest/doctest.h>
#include <fcntl.h>
#include <grp.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>
#include <thread>
#include <vector>

#include "support/cpu_probe.hpp"
#include "support/sanitizers.hpp"
#include <whence/cpu.hpp>
#include <whence/labels.hpp>
#include <whence/profile.hpp>
#include <whence/sys/proc_task.hpp>
#include <whence/sys/signal_mask.hpp>
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
    // One tick in 250 is 0.4 %; counted twice, the excess was a third.
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
  // Uses a process of its own, which gives up the right to read itself.
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

TEST_CASE("a child made without fork's handlers has its own samplers") {
  if (sanitized) return;
  cpu_session inherited;
  const ::pid_t child = ::_Fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    ::alarm(20);
    inherited.stop();  // not the child's, so it must not wait
    cpu_session own({.hz = 100});
    const auto sampled = [&own] {
      std::int64_t ns = 0;
      for (const profile_row& row : own.snapshot().rows) {
        if (row.stack[0] >= tables::pseudo::end) ns += row.values[1];
      }
      return ns;
    };
    // Beside busy processes it may run for a while, and never at one of the kernel's ticks.
    for (int i = 0; i < 20 && sampled() <= 100'000'000; ++i) {
      compute_until(this_thread_ns() + 150'000'000);
    }
    ::_exit(sampled() > 100'000'000 ? 0 : 1);
  }
  int status = 1;
  REQUIRE(::waitpid(child, &status, 0) == child);
  CHECK(status == 0);
}

TEST_CASE("a program's handler that ends system calls with EINTR still does, others' do not") {
  if (thread_sanitized) return;
  for (const int flag : {0, static_cast<int>(SA_RESTART)}) {
    struct sigaction program {};
    struct sigaction before {};
    program.sa_handler = [](int) { ++handled; };
    program.sa_flags = flag;
    REQUIRE(::sigaction(SIGPROF, &program, &before) == 0);
    {
      const cpu_session session;
      struct sigaction ours {};
      REQUIRE(::sigaction(SIGPROF, nullptr, &ours) == 0);
      CHECK((ours.sa_flags & SA_RESTART) == flag);
      CHECK((ours.sa_flags & SA_ONSTACK) != 0);
    }
    ::sigaction(SIGPROF, &before, nullptr);
  }
}

TEST_CASE("signals of counters that are closed already are not the program's") {
  if (thread_sanitized) return;
  struct sigaction program {};
  struct sigaction before {};
  program.sa_sigaction = [](int, siginfo_t*, void*) { ++handled; };
  program.sa_flags = SA_SIGINFO;
  REQUIRE(::sigaction(SIGPROF, &program, &before) == 0);
  handled = 0;
  std::atomic<bool> over{false};
  std::thread busy([&] {
    while (!over) compute_until(this_thread_ns() + 1'000'000);
  });
  for (int i = 0; i < 200; ++i) {
    const cpu_session session({.hz = 10'000});
    compute_until(this_thread_ns() + 1'000'000);
  }
  over = true;
  busy.join();
  CHECK(handled == 0);
  ::sigaction(SIGPROF, &before, nullptr);
}

TEST_CASE("a thread that is cancelled while sessions begin and end is cancelled, and no more") {
  if (sanitized) return;
  const auto body = [](void*) -> void* {
    ::pthread_cancel(::pthread_self());
    {
      const cpu_session session;
      const wall_session clock;
      std::string text;
      (void)session.write_to(text);
      (void)clock.write_to(text);
      (void)lookup("goroutine")->write_to(text, 2);
      (void)lookup("heap")->write_to(text, 1);
    }
    ::pthread_testcancel();
    return nullptr;
  };
  pthread_t t;
  REQUIRE(::pthread_create(&t, nullptr, body, nullptr) == 0);
  void* result = nullptr;
  REQUIRE(::pthread_join(t, &result) == 0);
  CHECK(result == PTHREAD_CANCELED);
}

TEST_CASE("CPU time under a blocked SIGPROF is not charged to the code that unblocks it") {
  const cpu_session session;
  sigset_t profiling, before;
  ::sigemptyset(&profiling);
  ::sigaddset(&profiling, SIGPROF);
  ::pthread_sigmask(SIG_BLOCK, &profiling, &before);
  compute_until(this_thread_ns() + 500'000'000);
  ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
  compute_until(this_thread_ns() + 20'000'000);
  const profile_snapshot s = session.snapshot();
  for (const profile_row& row : s.rows) {
    if (row.stack[0] >= tables::pseudo::end) CHECK(row.values[1] < 250'000'000);
  }
  CHECK(time_of_frame(s, tables::pseudo::unsampled) > 400'000'000);
}

TEST_CASE("a small alternate stack on the heap is not overrun") {
  if (sanitized) return;  // its handlers need more
  // This is a little more than the kernel's frame, which is too little for a walk.
  const std::size_t size = static_cast<std::size_t>(::sysconf(_SC_MINSIGSTKSZ)) + 2500;
  std::vector<unsigned char> memory(64 * 1024 + size, 0xa5);
  stack_t small{};
  stack_t old{};
  small.ss_sp = memory.data() + 64 * 1024;
  small.ss_size = size;
  REQUIRE(::sigaltstack(&small, &old) == 0);
  {
    const cpu_session session({.hz = 1000});
    compute_until(this_thread_ns() + 200'000'000);
  }
  old.ss_flags = SS_DISABLE;
  ::sigaltstack(&old, nullptr);
  for (std::size_t i = 0; i < 64 * 1024; ++i) REQUIRE(memory[i] == 0xa5);
}

TEST_CASE("a session leaves half of the signal queue to the program") {
  if (sanitized) return;
  const ::pid_t child = ::fork();
  if (child == 0) {
    ::alarm(20);
    // Changes to a user who has no queued signals yet.
    if (::getuid() == 0 && ::setuid(54321) != 0) ::_exit(0);
    ::prctl(PR_SET_DUMPABLE,
            1);  // so that the kernel tells that the threads below wait for no signal
    const ::rlimit few{40, 40};
    if (::setrlimit(RLIMIT_SIGPENDING, &few) != 0) ::_exit(0);
    timer_t timer;
    if (::timer_create(CLOCK_MONOTONIC, nullptr, &timer) != 0) ::_exit(0);  // the user has more
    std::atomic<bool> over{false};
    std::vector<std::thread> threads;
    for (int i = 0; i < 60; ++i) {
      threads.emplace_back([&] {
        while (!over) std::this_thread::sleep_for(std::chrono::milliseconds(1));
      });
    }
    bool said = false;
    int made = 0;
    {
      const cpu_session session;
      for (; made < 15 && ::timer_create(CLOCK_MONOTONIC, nullptr, &timer) == 0; ++made) {
      }
      for (const std::string& c : session.snapshot().header.comments) {
        said = said || c.find("could have no timer") != c.npos;
      }
    }
    over = true;
    for (std::thread& t : threads) t.join();
    ::_exit(made == 15 && said ? 0 : 1);
  }
  int status = 1;
  REQUIRE(::waitpid(child, &status, 0) == child);
  CHECK(status == 0);
}

TEST_CASE("a thread's blocked signals are known, even if the user is in many groups") {
  const ::pid_t child = ::fork();
  if (child == 0) {
    std::vector<gid_t> groups(400);
    for (std::size_t i = 0; i < groups.size(); ++i) groups[i] = static_cast<gid_t>(100000 + i);
    for (std::size_t n = 0; n <= groups.size(); ++n) {
      if (::setgroups(n, groups.data()) != 0) ::_exit(n == 0 ? 0 : 1);
      sigset_t profiling, before;
      ::sigemptyset(&profiling);
      ::sigaddset(&profiling, SIGPROF);
      if (sys::blocks_signal(::gettid(), SIGPROF)) ::_exit(2);
      ::pthread_sigmask(SIG_BLOCK, &profiling, &before);
      if (!sys::blocks_signal(::gettid(), SIGPROF)) ::_exit(3);
      if (sys::blocks_signal(::gettid(), SIGPROF + 1)) ::_exit(4);
      ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
    }
    ::_exit(0);
  }
  int status = 1;
  REQUIRE(::waitpid(child, &status, 0) == child);
  CHECK(status == 0);
}

TEST_CASE("files that the program opened in place of ours are left alone") {
  if (sanitized) return;
  const ::pid_t child = ::fork();
  if (child == 0) {
    int open = 0;
    std::vector<int> mine;
    {
      const cpu_session session({.hz = 1000});
      compute_until(this_thread_ns() + 10'000'000);
      for (int fd = 3; fd < 256; ++fd) ::close(fd);
      for (int i = 0; i < 8; ++i) mine.push_back(::open("/dev/null", O_RDONLY | O_CLOEXEC));
    }
    for (const int fd : mine) open += ::fcntl(fd, F_GETFD) >= 0 ? 1 : 0;
    ::_exit(open == 8 ? 0 : 1);
  }
  int status = 1;
  REQUIRE(::waitpid(child, &status, 0) == child);
  CHECK(status == 0);
}

TEST_CASE("a program whose first thread has ended is profiled as before") {
  if (sanitized) return;
  int ends[2];
  REQUIRE(::pipe(ends) == 0);
  const ::pid_t child = ::fork();
  if (child == 0) {
    static int result;
    result = ends[1];
    std::thread([] {
      while (sys::read_stat(::getpid()).letter != 'Z') {
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
      }
      std::atomic<bool> asleep{false};
      std::thread sleeper([&] {
        asleep = true;
        std::this_thread::sleep_for(std::chrono::seconds(30));
      });
      while (!asleep) std::this_thread::yield();
      std::this_thread::sleep_for(std::chrono::milliseconds(50));
      std::string text;
      (void)lookup("goroutine")->write_to(text, 2);
      (void)!::write(result, text.data(), text.size());
      ::_exit(0);
    }).detach();
    ::syscall(SYS_exit, 0);  // this thread alone, as pthread_exit does in the end
  }
  ::close(ends[1]);
  std::string text;
  char part[4096];
  for (ssize_t n = 0; (n = ::read(ends[0], part, sizeof part)) > 0;)
    text.append(part, static_cast<std::size_t>(n));
  ::close(ends[0]);
  int status = 1;
  REQUIRE(::waitpid(child, &status, 0) == child);
  CAPTURE(text);
  CHECK(text.find("nanosleep(") != text.npos);
  CHECK(text.find("cannot be read reliably") == text.npos);
}

// Each look that begins after the program's call puts the handler back before it asks a thread.
TEST_CASE("SIG_DFL that a program sets does not outlast one look of a wall-clock session") {
  ::sigset_t prof, before;
  ::sigemptyset(&prof);
  ::sigaddset(&prof, SIGPROF);
  ::pthread_sigmask(SIG_BLOCK, &prof, &before);  // this thread is sent none meanwhile
  const scoped_labels scope{"sig_dfl", "here"};
  const wall_session session({.hz = 100});
  const auto looks = [&session] {
    std::int64_t n = 0;
    for (const profile_row& row : session.snapshot().rows) {
      if (label_of(row, "sig_dfl") == "here") n += row.values[0];
    }
    return n;
  };
  const auto is_default = [] {
    struct sigaction now {};
    ::sigaction(SIGPROF, nullptr, &now);
    return now.sa_handler == SIG_DFL;
  };
  while (looks() < 5) sleep_ms(10);
  for (int round = 0; round < 5; ++round) {
    ::signal(SIGPROF, SIG_DFL);
    const std::int64_t first = looks();
    std::int64_t since = 0;
    while (is_default()) {
      sleep_ms(2);
      const std::int64_t now = looks() - first;
      if (is_default()) since = now;
      if (since > 20) break;
    }
    CHECK(since < 2);
  }
  ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
}
