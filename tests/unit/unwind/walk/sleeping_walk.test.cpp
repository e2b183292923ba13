// SPDX-License-Identifier: Apache-2.0
#include <alloca.h>
#include <doctest/doctest.h>
#include <poll.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <condition_variable>
#include <cstdint>
#include <cstring>
#include <functional>
#include <future>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "../own_unwinder.hpp"
#include <whence/sys/clock.hpp>
#include <whence/sys/proc_task.hpp>
#include <whence/unwind/capture.hpp>
#include <whence/unwind/walk/sleeping_walk.hpp>

using namespace whence;

namespace {

// A thread that takes its own stack and goes to sleep; a look must find that stack.
struct sleeper {
  std::atomic<bool> ready{false};
  std::atomic<bool> interrupted{false};
  std::atomic<pid_t> tid{0};
  std::uintptr_t pcs[256];
  unwind::trace own{pcs, 256};
  // These end the sleeps.
  int ends[2]{-1, -1};
  std::mutex m;
  std::condition_variable c;
  bool over = false;
  std::promise<int> promise;
};

using sleep_function = void (*)(sleeper&);

void in_poll(sleeper& s) {
  pollfd p{s.ends[0], POLLIN, 0};
  if (::poll(&p, 1, -1) < 0) s.interrupted = true;
}
void in_epoll(sleeper& s) {
  const int e = ::epoll_create1(0);
  epoll_event event{};
  event.events = EPOLLIN;
  ::epoll_ctl(e, EPOLL_CTL_ADD, s.ends[0], &event);
  if (::epoll_wait(e, &event, 1, -1) < 0) s.interrupted = true;
  ::close(e);
}
void in_read(sleeper& s) {
  char byte = 0;
  if (::read(s.ends[0], &byte, 1) < 0) s.interrupted = true;
}
void in_nanosleep(sleeper& s) {
  // Waits for the end, and checks rarely.
  pollfd p{s.ends[0], POLLIN, 0};
  while (::poll(&p, 1, 0) == 0) {
    const timespec t{0, 400'000'000};
    if (::nanosleep(&t, nullptr) != 0) s.interrupted = true;
  }
}
void in_condition(sleeper& s) {
  std::unique_lock hold(s.m);
  s.c.wait(hold, [&s] { return s.over; });
}
void in_future(sleeper& s) {
  s.promise.get_future().wait();
}
void in_sigwait(sleeper& s) {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGUSR2);
  pthread_sigmask(SIG_BLOCK, &set, nullptr);
  int number = 0;
  if (::sigwait(&set, &number) != 0) s.interrupted = true;
}

// Its caller's stack, which the sleep below does not change.
template <sleep_function Way>
[[gnu::noinline]] void park(sleeper& s) {
  unwind::capture(whence_tests::own_unwinder(), s.own, __builtin_return_address(0));
  s.tid = ::gettid();
  s.ready = true;
  Way(s);
  asm volatile("");
}

template <sleep_function Way>
[[gnu::noinline]] void directly(sleeper& s) {
  park<Way>(s);
  asm volatile("");
}
template <sleep_function Way>
[[gnu::noinline]] void deep(sleeper& s, int depth) {
  if (depth == 0) {
    park<Way>(s);
  } else {
    deep<Way>(s, depth - 1);
  }
  asm volatile("");
}
template <sleep_function Way>
[[gnu::noinline]] void on_alloca(sleeper& s, std::size_t bytes) {
  auto* const room = static_cast<volatile char*>(alloca(bytes));
  room[0] = 1;
  park<Way>(s);
  room[bytes - 1] = 2;
}
template <sleep_function Way>
struct base {
  virtual ~base() = default;
  virtual void go(sleeper& s) = 0;
};
template <sleep_function Way>
struct derived : base<Way> {
  [[gnu::noinline]] void go(sleeper& s) override {
    park<Way>(s);
    asm volatile("");
  }
};
template <sleep_function Way>
[[gnu::noinline]] void through_virtual(sleeper& s, base<Way>& b) {
  b.go(s);
  asm volatile("");
}
[[gnu::noinline]] void through_function(const std::function<void()>& f) {
  f();
  asm volatile("");
}

void not_at_all(sleeper&) {}
// Leaves old frames and return addresses on the stack below.
[[gnu::noinline]] int litter(int depth) {
  volatile char room[300];
  room[depth] = static_cast<char>(depth);
  const int more = depth > 0 ? litter(depth - 1) : 0;
  sleeper none;
  on_alloca<not_at_all>(none, 100);
  return more + room[depth];
}

constexpr int shapes = 5;
template <sleep_function Way>
void sleep_in_shape(int shape, sleeper& s) {
  CHECK(litter(5) == 15);
  derived<Way> d;
  switch (shape) {
    case 0:
      return directly<Way>(s);
    case 1:
      return deep<Way>(s, 20);
    case 2:
      return on_alloca<Way>(s, 700);
    case 3:
      return through_virtual<Way>(s, d);
    default:
      return through_function([&] { park<Way>(s); });
  }
}

constexpr void (*ways[])(int, sleeper&) = {
    sleep_in_shape<in_poll>,      sleep_in_shape<in_epoll>,     sleep_in_shape<in_read>,
    sleep_in_shape<in_nanosleep>, sleep_in_shape<in_condition>, sleep_in_shape<in_future>,
    sleep_in_shape<in_sigwait>};
constexpr std::size_t sigwait_way = 6;

// The frames of `outer` from the root inwards must be those of `all`; how many differ.
bool ends_in(const unwind::trace& all, const unwind::trace& outer) {
  if (outer.depth == 0 || all.depth < outer.depth) return false;
  return std::memcmp(all.pcs + (all.depth - outer.depth), outer.pcs,
                     outer.depth * sizeof(std::uintptr_t)) == 0;
}

// The frames of `some` that are in `outer` must be there one after the other from its leaf on.
bool begins_in(const unwind::trace& some, const unwind::trace& outer) {
  std::size_t at = 0;
  while (at < some.depth && some.pcs[at] != outer.pcs[0]) ++at;
  for (std::size_t i = 0; at + i < some.depth; ++i) {
    if (some.pcs[at + i] != outer.pcs[i]) return false;
  }
  return true;
}

}  // namespace

TEST_CASE("the stack of a thread that sleeps is read without waking it") {
  static unwind::sleeping_stack_room room;
  int complete = 0;
  int incomplete = 0;
  for (int shape = 0; shape < shapes; ++shape) {
    for (std::size_t w = 0; w < std::size(ways); ++w) {
      CAPTURE(shape);
      CAPTURE(w);
      sleeper s;
      REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM, 0, s.ends) == 0);
      std::thread thread([&] { ways[w](shape, s); });
      while (!s.ready) std::this_thread::yield();
      sys::sleeping_task task;
      bool done = false;
      for (int i = 0; i < 2000 && !done; ++i) {
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
        const std::int64_t cpu = sys::thread_cpu_ns(s.tid);
        task = sys::read_syscall(s.tid);
        if (task.state != sys::task_state::sleeping) continue;
        std::uintptr_t pcs[256];
        unwind::trace t{pcs, 256};
        const bool certain =
            unwind::sleeping_walk(whence_tests::own_unwinder(), task.pc, task.sp, room).fill(t);
        if (sys::thread_cpu_ns(s.tid) != cpu) continue;
        done = true;
        ++(certain ? complete : incomplete);
        CHECK(t.pcs[0] == task.pc);
        CHECK(t.leaf_is_ip);
        // A wrong stack is worse than a missing one.
        if (certain) CHECK(ends_in(t, s.own));
        if (!certain) CHECK(begins_in(t, s.own));
      }
      CHECK(done);
      CHECK(sys::read_stat(s.tid).letter == 'S');
      CHECK(::write(s.ends[1], "x", 1) == 1);
      {
        const std::lock_guard hold(s.m);
        s.over = true;
      }
      s.c.notify_all();
      s.promise.set_value(1);
      if (w == sigwait_way) ::pthread_kill(thread.native_handle(), SIGUSR2);
      thread.join();
      CHECK_FALSE(s.interrupted);
      ::close(s.ends[0]);
      ::close(s.ends[1]);
    }
  }
  MESSAGE(complete, " complete, ", incomplete, " incomplete");
  // Not those that sleep above a frame that grows.
  CHECK(complete >= (complete + incomplete) * 4 / 5);
}

TEST_CASE("what the kernel says of threads that run, are gone, or never were") {
  std::atomic<pid_t> tid{0};
  std::atomic<bool> done{false};
  std::thread busy([&] {
    tid = ::gettid();
    while (!done) {
    }
  });
  while (tid == 0) std::this_thread::yield();
  CHECK(sys::read_syscall(tid).state == sys::task_state::running);
  CHECK(sys::read_stat(tid).letter == 'R');
  CHECK(sys::thread_cpu_ns(tid) > 0);
  done = true;
  busy.join();
  for (int i = 0; i < 1000 && sys::thread_cpu_ns(tid) >= 0; ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  CHECK(sys::thread_cpu_ns(tid) == -1);
  CHECK(sys::read_syscall(tid).state == sys::task_state::gone);
  CHECK(sys::read_stat(tid).letter == 0);
}

TEST_CASE("a missing stack is an error, not a fault") {
  static unwind::sleeping_stack_room room;
  std::uintptr_t pcs[64];
  for (const std::uintptr_t sp :
       {std::uintptr_t{0}, std::uintptr_t{8}, ~std::uintptr_t{7}, std::uintptr_t{0x10000}}) {
    unwind::trace t{pcs, 64};
    const auto pc = reinterpret_cast<std::uintptr_t>(&::poll) + 8;
    CHECK_FALSE(unwind::sleeping_walk(whence_tests::own_unwinder(), pc, sp, room).fill(t));
  }
}

TEST_CASE("a leaf that no rule climbs is the only frame, with its own stack pointer") {
  static unwind::sleeping_stack_room room;
  std::uintptr_t pcs[64];
  unwind::trace t{pcs, 64};
  // The frame of the thread that was read before.
  room.frames[0] = ~std::uintptr_t{0};
  const auto sp = reinterpret_cast<std::uintptr_t>(pcs);
  CHECK_FALSE(unwind::sleeping_walk(whence_tests::own_unwinder(), 0, sp, room).fill(t));
  REQUIRE(t.depth == 1);
  CHECK(t.pcs[0] == 0);
  CHECK(room.frames[0] == sp);
}
