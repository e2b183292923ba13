// SPDX-License-Identifier: Apache-2.0
//
// Threads that sleep, in seven kinds of waits, called in four ways, and a dump's answer about them:
//
//   ready 4711                              the process; then, once it may:
//   4712 0x7f12a0 0x55d010 ...              the addresses of each thread's stack
//   disturbed 0                             calls that came back
//
// sleepers THREADS: dumps ten times, waits for a line of input, and ends. tests/stress/like_gdb.sh
// compares with gdb's stacks.
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <chrono>
#include <condition_variable>
#include <cstdio>
#include <cstdlib>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include <whence/labels.hpp>
#include <whence/profile.hpp>

namespace {

std::atomic<int> disturbed{0}, asleep{0};
volatile int zero = 0;  // keeps calls from being tail calls

int came_back(long result) {
  std::fprintf(stderr, "a call came back with %ld, errno %d\n", result, errno);
  return ++disturbed;
}

[[gnu::noinline]] int in_poll() {
  return came_back(::poll(nullptr, 0, -1));
}
[[gnu::noinline]] int in_epoll() {
  ::epoll_event event;
  return came_back(::epoll_wait(::epoll_create1(0), &event, 1, -1));
}
[[gnu::noinline]] int in_nanosleep() {
  const ::timespec long_time{100000, 0};
  return came_back(::nanosleep(&long_time, nullptr));
}
[[gnu::noinline]] int in_futex() {
  std::mutex m;
  std::condition_variable never;
  std::unique_lock hold(m);
  never.wait(hold, [] { return disturbed < 0; });
  return came_back(0);
}
[[gnu::noinline]] int in_read() {
  int ends[2];
  char c;
  if (::pipe(ends) != 0) std::abort();
  return came_back(::read(ends[0], &c, 1));
}
[[gnu::noinline]] int in_sigwait() {
  ::sigset_t set;
  ::sigemptyset(&set);
  ::sigaddset(&set, SIGUSR2);
  int signal;
  return came_back(::sigwait(&set, &signal));
}
[[gnu::noinline]] int in_accept() {
  const int s = ::socket(AF_UNIX, SOCK_STREAM, 0);
  ::sockaddr_un address{};
  address.sun_family = AF_UNIX;
  ::bind(s, reinterpret_cast<const ::sockaddr*>(&address), sizeof(::sa_family_t));
  ::listen(s, 1);
  return came_back(::accept(s, nullptr, nullptr));
}

using wait = int (*)();
constexpr wait waits[] = {in_poll, in_epoll,   in_nanosleep, in_futex,
                          in_read, in_sigwait, in_accept};

[[gnu::noinline]] int straight(wait w) {
  return w() + zero;
}
[[gnu::noinline]] int deep(wait w, int depth) {
  return depth == 0 ? w() + zero : deep(w, depth - 1) + zero;
}
[[gnu::noinline]] int below_growing_frame(wait w, int size) {
  auto* const room = static_cast<volatile char*>(__builtin_alloca(static_cast<std::size_t>(size)));
  room[0] = 1;
  return deep(w, 2) + room[0];
}
struct caller {
  virtual ~caller() = default;
  virtual int call(wait w) { return w() + zero; }
};
[[gnu::noinline]] int by_virtual_call(wait w) {
  caller c;
  caller* volatile p = &c;
  return p->call(w) + zero;
}
constexpr int ways = 4;

// Uses direct calls: the frame pointer of a function that was called through a pointer cannot be
// known for certain (unwind/walk/sleeping_walk.hpp).
int go_to_sleep(int number) {
  const auto kinds = static_cast<int>(std::size(waits));
  const wait w = waits[number % kinds];
  switch (number / kinds % ways) {
    case 0:
      return straight(w);
    case 1:
      return deep(w, number % 60);
    case 2:
      return below_growing_frame(w, 20 + number);
    default:
      return by_virtual_call(w);
  }
}

void print_stacks() {
  const whence::profile_snapshot s = whence::lookup("goroutine")->snapshot();
  for (const whence::profile_row& row : s.rows) {
    for (const whence::label& l : row.labels) {
      if (l.key != "tid") continue;
      std::printf("%s", std::string(l.value).c_str());
      for (const std::uintptr_t pc : row.stack) std::printf(" %#zx", static_cast<std::size_t>(pc));
      std::printf("\n");
    }
  }
}

}  // namespace

int main(int argc, char** argv) {
  const int threads = argc > 1 ? std::atoi(argv[1]) : 56;
  ::sigset_t set;
  ::sigemptyset(&set);
  ::sigaddset(&set, SIGUSR2);
  ::pthread_sigmask(SIG_BLOCK, &set, nullptr);
  for (int i = 0; i < threads; ++i) {
    std::thread([i] {
      const whence::scoped_labels name{{"tid", std::to_string(::gettid())}};
      ++asleep;
      go_to_sleep(i);
    }).detach();
  }
  while (asleep < threads) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  std::this_thread::sleep_for(std::chrono::milliseconds(500));
  for (int i = 0; i < 9; ++i) (void)whence::lookup("goroutine")->snapshot();
  const auto begin = std::chrono::steady_clock::now();
  const whence::profile_snapshot last = whence::lookup("goroutine")->snapshot();
  const std::chrono::duration<double, std::milli> took = std::chrono::steady_clock::now() - begin;
  print_stacks();
  std::printf("took %.2f ms\ndisturbed %d\nready %d\n", took.count(), disturbed.load(), ::getpid());
  std::fflush(stdout);
  (void)std::getchar();
  std::printf("disturbed %d\n", disturbed.load());
  std::fflush(stdout);
  ::_exit(disturbed == 0 ? 0 : 1);
}
