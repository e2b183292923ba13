// SPDX-License-Identifier: Apache-2.0
//
// CPU and wall-clock samplers at 1 kHz while a program does what has killed profilers: it forks,
// spawns and runs shells with much memory touched, starts threads that end at once, throws, loads
// and unloads libraries, changes labels all the time, has signals of its own, and begins and ends
// sessions from several threads.
//
// What must hold, and is checked all the time:
//   sleeps       no poll, epoll_wait, nanosleep or sigtimedwait ends with EINTR.
//   processes    every child ends as it should.
//   sessions     no value is negative; what a session saw stays as it is after its end; labels are
//                those that the code at the root of the stack set.
//   signals      a SIGPROF of the program's own reaches its handler, no other does.
//
// samplers [--seconds N] [--megabytes N]: fails for any of these, for a crash or a hang, and for a
// part that never ran.
#include <dlfcn.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <stdexcept>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include <whence/cpu.hpp>
#include <whence/labels.hpp>
#include <whence/wall.hpp>

extern char** environ;  // NOLINT(readability-redundant-declaration)

namespace {

std::atomic<bool> stop{false};
std::atomic<int> failures{0};

void must(bool holds, const char* what) {
  if (holds) return;
  std::fprintf(stderr, "FAILED: %s (errno %d)\n", what, errno);
  ++failures;
}

[[gnu::noinline]] double compute(int rounds) {
  volatile double x = 1;
  for (int i = 0; i < rounds; ++i) x = x * 1.0000001 + 0.1;
  return x;
}

// ---- what the program does

void throwing() {
  try {
    compute(100);
    throw std::runtime_error("as usual");
  } catch (const std::exception&) {
    compute(100);
  }
}

void labelling() {
  static std::atomic<int> next{0};
  const int n = next++;
  const std::string handler = "/h" + std::to_string(n % 50);
  const whence::scoped_labels outer{{"handler", handler}};
  const whence::scoped_labels inner{{"turn", n % 2 == 0 ? "even" : "odd"}};
  compute(5000);
  must(whence::current_labels()["handler"] == handler, "labels are the thread's own");
}

void sleeping() {
  // An ended child wakes sleepers too, profiled or not.
  sigset_t child;
  sigemptyset(&child);
  sigaddset(&child, SIGCHLD);
  ::pthread_sigmask(SIG_BLOCK, &child, nullptr);
  must(::poll(nullptr, 0, 1) == 0, "poll");
  const timespec t{0, 300'000};
  must(::nanosleep(&t, nullptr) == 0, "nanosleep");
  const int e = ::epoll_create1(EPOLL_CLOEXEC);
  epoll_event event{};
  must(::epoll_wait(e, &event, 1, 1) == 0, "epoll_wait");
  ::close(e);
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGUSR1);
  must(::sigtimedwait(&set, nullptr, &t) == -1 && errno == EAGAIN, "sigtimedwait");
}

void short_lives() {
  for (int i = 0; i < 20; ++i) std::thread([] { compute(10); }).join();
}

void reap(pid_t child, const char* what) {
  int status = -1;
  while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  must(WIFEXITED(status) && WEXITSTATUS(status) == 0, what);
}

void processes() {
  static int turn = 0;
  char program[] = "/bin/true";
  char* const arguments[] = {program, nullptr};
  pid_t child = -1;
  switch (turn++ % 4) {
    case 0:
      child = ::fork();
      must(child >= 0, "fork");
      if (child == 0) {
        compute(2000);
        ::_exit(0);
      }
      return reap(child, "a child of fork");
    case 1:
      child = ::fork();
      if (child == 0) {
        ::execv(program, arguments);
        ::_exit(1);
      }
      return reap(child, "fork and exec");
    case 2:
      must(::posix_spawn(&child, program, nullptr, nullptr, arguments, environ) == 0,
           "posix_spawn");
      return reap(child, "a spawned child");
    default:
      must(std::system("exit 0") == 0, "system");
  }
}

void libraries() {
  void* const library = ::dlopen("libresolv.so.2", RTLD_NOW | RTLD_LOCAL);
  if (library != nullptr) ::dlclose(library);
  compute(1000);
}

std::atomic<int> program_signals{0};
void on_program_signal(int) {
  ++program_signals;
}

void signals() {
  static int sent = 0;
  ::raise(SIGPROF);
  ++sent;
  must(program_signals == sent, "the program's SIGPROF reaches its handler, and nothing else does");
  compute(20'000);
}

// ---- sessions

void check(const whence::profile_snapshot& s) {
  for (const whence::profile_row& row : s.rows) {
    must(row.values[0] >= 0 && row.values[1] >= 0, "no value is negative");
    must(!row.stack.empty(), "no stack is empty");
  }
}

std::int64_t sum(const whence::profile_snapshot& s) {
  std::int64_t all = 0;
  for (const whence::profile_row& row : s.rows) all += row.values[1];
  return all;
}

template <class Session>
void session(int hz) {
  Session s({.hz = hz});
  must(!s.error(), "a session begins");
  compute(100'000);
  check(s.snapshot());
  s.stop();
  const std::int64_t all = sum(s.snapshot());
  compute(1000);
  must(sum(s.snapshot()) == all, "an ended session stays as it is");
}

void sessions() {
  static int turn = 0;
  session<whence::cpu_session>(turn % 3 == 0 ? 100 : 1000);
  session<whence::wall_session>(turn++ % 2 == 0 ? 99 : 1000);
}

void whole_profiles() {
  std::string out;
  const std::error_code error = whence::start_cpu_profile(out, {.hz = 1000});
  must(!error || error == whence::errc::already_profiling, "start_cpu_profile");
  compute(200'000);
  must(!whence::stop_cpu_profile(), "stop_cpu_profile");
}

struct part {
  const char* name;
  int threads;
  void (*turn)();
  std::atomic<std::uint64_t> turns{0};
};
part parts[] = {
    {"throwing", 1, throwing},       {"labelling", 3, labelling}, {"sleeping", 4, sleeping},
    {"short lives", 1, short_lives}, {"processes", 1, processes}, {"libraries", 1, libraries},
    {"signals", 1, signals},         {"sessions", 1, sessions},   {"profiles", 1, whole_profiles}};

}  // namespace

int main(int argc, char** argv) {
  int seconds = 5;
  std::size_t megabytes = 64;
  for (int i = 1; i + 1 < argc; i += 2) {
    if (std::string_view(argv[i]) == "--seconds") seconds = std::atoi(argv[i + 1]);
    if (std::string_view(argv[i]) == "--megabytes") {
      megabytes = static_cast<std::size_t>(std::atoi(argv[i + 1]));
    }
  }
  const std::size_t bytes = megabytes << 20;
  void* const memory =
      ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  must(memory != MAP_FAILED, "mmap");
  std::memset(memory, 1, bytes);
  struct sigaction program {};
  program.sa_handler = &on_program_signal;
  ::sigaction(SIGPROF, &program, nullptr);

  whence::cpu_session cpu({.hz = 1000});
  whence::wall_session wall({.hz = 1000});
  must(!cpu.error() && !wall.error(), "the outer sessions begin");
  std::vector<std::thread> threads;
  for (part& p : parts) {
    for (int i = 0; i < p.threads; ++i) {
      threads.emplace_back([&p] {
        while (!stop.load(std::memory_order_relaxed)) {
          p.turn();
          p.turns.fetch_add(1, std::memory_order_relaxed);
        }
      });
    }
  }
  std::this_thread::sleep_for(std::chrono::seconds(seconds));
  stop = true;
  for (auto& t : threads) t.join();
  cpu.stop();
  wall.stop();
  check(cpu.snapshot());
  check(wall.snapshot());
  std::int64_t samples = 0;
  for (const whence::profile_row& row : cpu.snapshot().rows) samples += row.values[0];
  for (const part& p : parts) {
    std::printf("%-12s %9llu turns\n", p.name, static_cast<unsigned long long>(p.turns.load()));
    must(p.turns > 0, "every part comes to its turn");
  }
  std::printf("%lld stacks, %.3f s of CPU time\n", static_cast<long long>(samples),
              static_cast<double>(sum(cpu.snapshot())) / 1e9);
  for (const std::string& line : cpu.snapshot().header.comments)
    std::printf("  %s\n", line.c_str());
  must(samples > 0, "there are samples");
  std::puts(failures == 0 ? "passed" : "FAILED");
  return failures == 0 ? 0 : 1;
}
