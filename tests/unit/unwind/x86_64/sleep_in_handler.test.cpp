// SPDX-License-Identifier: Apache-2.0
//
// Stacks of threads that sleep inside a signal handler, on its own stack or on the alternate one.
#include <doctest/doctest.h>
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <thread>

#include "../own_unwinder.hpp"
#include <whence/sys/clock.hpp>
#include <whence/sys/proc_task.hpp>
#include <whence/unwind/walk/sleeping_walk.hpp>

using namespace whence;

// Calls read(2) through a function that does not save rbp, called by one whose frame grows by
// `bytes` first, so that only its call leads on.
extern "C" long sleep_in_handler_read(int fd, void* room, std::size_t bytes);
asm(R"(
.text
.type sleep_in_handler_read, @function
sleep_in_handler_read:
  .cfi_startproc
  pushq %rbp
  .cfi_def_cfa_offset 16
  .cfi_offset %rbp, -16
  movq %rsp, %rbp
  .cfi_def_cfa_register %rbp
  subq %rdx, %rsp
  call sleep_in_handler_syscall
  leave
  .cfi_def_cfa %rsp, 8
  ret
  .cfi_endproc
.size sleep_in_handler_read, . - sleep_in_handler_read
.type sleep_in_handler_syscall, @function
sleep_in_handler_syscall:
  .cfi_startproc
  movl $1, %edx
  xorl %eax, %eax
  syscall
  ret
  .cfi_endproc
.size sleep_in_handler_syscall, . - sleep_in_handler_syscall
)");

namespace {

struct sleeper {
  int ends[2]{-1, -1};
  std::atomic<pid_t> tid{0};
};
sleeper* asleep = nullptr;

[[gnu::noinline]] void handler(int) {
  asleep->tid = ::gettid();
  char byte;
  CHECK(sleep_in_handler_read(asleep->ends[0], &byte, 4096) == 1);
}

}  // namespace

TEST_CASE("a thread that sleeps in a signal handler, on a stack that is below its own") {
  static unwind::sleeping_stack_room room;
  constexpr std::size_t bytes = 1024 * 1024;
  sleeper s;
  asleep = &s;
  REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM, 0, s.ends) == 0);
  void* const both =
      ::mmap(nullptr, 2 * bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  REQUIRE(both != MAP_FAILED);
  struct sigaction action {
  }, before{};
  action.sa_handler = handler;
  action.sa_flags = SA_ONSTACK;
  REQUIRE(::sigaction(SIGUSR1, &action, &before) == 0);

  pthread_attr_t above;
  REQUIRE(::pthread_attr_init(&above) == 0);
  REQUIRE(::pthread_attr_setstack(&above, static_cast<char*>(both) + bytes, bytes) == 0);
  const auto run = [](void* below) -> void* {
    const stack_t alternate{below, 0, bytes};
    stack_t previous{};
    CHECK(::sigaltstack(&alternate, &previous) == 0);
    CHECK(::raise(SIGUSR1) == 0);
    CHECK(::sigaltstack(&previous, nullptr) == 0);  // ASan's is its own to unmap
    return nullptr;
  };
  pthread_t thread{};
  REQUIRE(::pthread_create(&thread, &above, run, both) == 0);
  bool done = false;
  for (int i = 0; i < 5000 && !done; ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
    if (s.tid == 0) continue;
    const std::int64_t cpu = sys::thread_cpu_ns(s.tid);
    const sys::sleeping_task task = sys::read_syscall(s.tid);
    if (task.state != sys::task_state::sleeping) continue;
    std::uintptr_t pcs[64];
    unwind::trace t{pcs, 64};
    const bool certain =
        unwind::sleeping_walk(whence_tests::own_unwinder(), task.pc, task.sp, room).fill(t);
    if (sys::thread_cpu_ns(s.tid) != cpu) continue;
    done = true;
    // The first stack no longer has other calls to look for.
    CHECK_FALSE(certain);
    CHECK(t.depth == 1);
    CHECK(t.pcs[0] == task.pc);
  }
  CHECK(done);
  CHECK(::write(s.ends[1], "x", 1) == 1);
  CHECK(::pthread_join(thread, nullptr) == 0);
  CHECK(::pthread_attr_destroy(&above) == 0);
  CHECK(::sigaction(SIGUSR1, &before, nullptr) == 0);
  ::munmap(both, 2 * bytes);
  ::close(s.ends[0]);
  ::close(s.ends[1]);
}
