// SPDX-License-Identifier: Apache-2.0
//
// The processor's trap flag stops a program after each instruction: so a walk from a signal is
// tried at every one of them, in prologues, epilogues, stubs, leaf functions, libc's assembly and
// the vDSO.
#include <doctest/doctest.h>

#if defined(__x86_64__)

#include <signal.h>
#include <time.h>

#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>

#include "../own_unwinder.hpp"
#include "support/sanitizers.hpp"
#include <whence/unwind/capture.hpp>

using namespace whence;

namespace {

struct stepping {
  std::array<std::uintptr_t, 128> root{};  // the stack from the stepped function's caller on
  std::size_t root_depth = 0;
  long steps = 0;
  long complete = 0;
  long astray = 0;  // a frame outside of all modules
  std::uintptr_t first_bad = 0;
};
stepping run;

extern "C" void on_step(int, siginfo_t*, void* context) {
  std::array<std::uintptr_t, 128> pcs;
  unwind::trace t{pcs.data(), pcs.size()};
  unwind::unwinder& u = whence_tests::own_unwinder();
  const unwind::stop_reason end = capture_context(u, t, *static_cast<ucontext_t*>(context));
  ++run.steps;
  bool same = end == unwind::stop_reason::root && t.depth >= run.root_depth;
  for (std::size_t i = 1; same && i <= run.root_depth; ++i) {
    same = pcs[t.depth - i] == run.root[run.root_depth - i];
  }
  for (std::size_t i = 0; i < t.depth; ++i) {
    if (u.permanent().find(pcs[i] - (i > 0 ? 1 : 0)) == nullptr) ++run.astray;
  }
  if (same) {
    ++run.complete;
  } else if (run.first_bad == 0) {
    run.first_bad = pcs[0];
  }
}

[[gnu::noinline]] void take_root() {
  unwind::trace t{run.root.data(), run.root.size()};
  capture(whence_tests::own_unwinder(), t, __builtin_return_address(0));
  run.root_depth = t.depth;
}

void trap(bool on) {
  if (on) {
    asm volatile("pushfq\n\torq $0x100, (%%rsp)\n\tpopfq" ::: "memory", "cc");
  } else {
    asm volatile("pushfq\n\tandq $~0x100, (%%rsp)\n\tpopfq" ::: "memory", "cc");
  }
}

// Steps through work(). The frames of its callers are those from before.
template <class Work>
[[gnu::noinline]] stepping step_through(Work work) {
  struct sigaction action {};
  struct sigaction before {};
  action.sa_sigaction = &on_step;
  action.sa_flags = SA_SIGINFO;
  REQUIRE(::sigaction(SIGTRAP, &action, &before) == 0);
  run = {};
  take_root();
  // This frame is in both, but continues elsewhere: the root begins with its caller.
  for (std::size_t i = 1; i < run.root_depth; ++i) run.root[i - 1] = run.root[i];
  --run.root_depth;
  trap(true);
  work();
  trap(false);
  ::sigaction(SIGTRAP, &before, nullptr);
  return run;
}

void check(const stepping& s, long least_steps) {
  CHECK(s.steps > least_steps);
  CHECK(s.astray == 0);
  CAPTURE(s.first_bad);
  CHECK(s.complete == s.steps);
}

int compare(const void* a, const void* b) {
  return *static_cast<const int*>(a) - *static_cast<const int*>(b);
}

struct shape {
  virtual ~shape() = default;
  virtual double area(double scale) const = 0;
};
struct circle : shape {
  double area(double scale) const override { return std::sqrt(scale) * 3; }
};

// A stack that is realigned, and grows by an amount known only at run time.
[[gnu::noinline]] int aligned_frame(int n) {
  alignas(64) volatile char room[128];
  auto* const grown = static_cast<volatile char*>(__builtin_alloca(static_cast<std::size_t>(n)));
  room[0] = 1;
  grown[0] = room[0];
  return std::abs(grown[0]) + static_cast<int>(std::strlen("seven"));
}

}  // namespace

// glibc's big-number functions push registers and do not say so; this one does the same.
asm(".text\n"
    ".type pushes_in_secret, @function\n"
    "pushes_in_secret:\n"
    ".cfi_startproc\n"
    "  pushq %rbp\n"
    "  pushq %rbx\n"
    "  xorl %ebp, %ebp\n"
    "  leal 7(%rbp), %ebx\n"
    "  movl %ebx, %eax\n"
    "  popq %rbx\n"
    "  popq %rbp\n"
    "  ret\n"
    ".cfi_endproc\n"
    ".size pushes_in_secret, . - pushes_in_secret\n"
    // Its information leads to a word of the stack, behind bytes that look like a call (e8).
    ".type leads_into_the_stack, @function\n"
    "leads_into_the_stack:\n"
    ".cfi_startproc\n"
    "  pushq %rbp\n"
    "  leaq -24(%rsp), %rax\n"
    "  pushq %rax\n"
    "  pushq $0\n"
    ".cfi_adjust_cfa_offset 8\n"
    "  pushq $0\n"
    ".cfi_adjust_cfa_offset 8\n"
    "  pushq $-0x18000000\n"
    ".cfi_adjust_cfa_offset 8\n"
    "  xorl %ebp, %ebp\n"
    "  addq $24, %rsp\n"
    ".cfi_adjust_cfa_offset -24\n"
    "  popq %rax\n"
    "  popq %rbp\n"
    "  ret\n"
    ".cfi_endproc\n"
    ".size leads_into_the_stack, . - leads_into_the_stack\n"
    // It has no call-frame information at all, and no frame.
    ".type says_nothing, @function\n"
    "says_nothing:\n"
    "  movl $9, %eax\n"
    "  ret\n"
    ".size says_nothing, . - says_nothing\n"
    // The CFA is kept in rbx, as in the lazy binder.
    ".type keeps_in_rbx, @function\n"
    "keeps_in_rbx:\n"
    ".cfi_startproc\n"
    "  pushq %rbx\n"
    ".cfi_adjust_cfa_offset 8\n"
    ".cfi_rel_offset %rbx, 0\n"
    "  movq %rsp, %rbx\n"
    ".cfi_def_cfa_register %rbx\n"
    "  andq $-64, %rsp\n"
    "  subq $64, %rsp\n"
    "  call says_nothing\n"
    "  movq %rbx, %rsp\n"
    ".cfi_def_cfa_register %rsp\n"
    "  popq %rbx\n"
    ".cfi_adjust_cfa_offset -8\n"
    ".cfi_restore %rbx\n"
    "  ret\n"
    ".cfi_endproc\n"
    ".size keeps_in_rbx, . - keeps_in_rbx\n");
extern "C" int pushes_in_secret();
extern "C" void leads_into_the_stack();
extern "C" int says_nothing();
extern "C" int keeps_in_rbx();

// valgrind has no trap flag.
TEST_SUITE_BEGIN("heavy");

TEST_CASE("at every instruction of libc and libstdc++ the walk is complete") {
  if (sanitized) return;  // the steps would be its runtime's
  static char text[256];
  static int numbers[64];
  for (int i = 0; i < 64; ++i) numbers[i] = i * 37 % 64;
  static const std::unique_ptr<shape> figure = std::make_unique<circle>();
  check(step_through([] {
          std::memset(text, 'x', 200);
          std::memmove(text + 3, text, 150);
          text[180] = 0;
          std::snprintf(text, sizeof text, "%d %s %zu %a", 42, "forty-two", std::strlen(text), 0.1);
          std::qsort(numbers, 64, sizeof(int), &compare);
        }),
        5000);
  check(step_through([] {
          const std::string s = std::string(text) + std::to_string(figure->area(2));
          std::free(std::malloc(s.size() * 100));
          timespec now;
          ::clock_gettime(CLOCK_MONOTONIC, &now);
        }),
        1000);
}

TEST_CASE("at every instruction of a realigned frame the walk is complete") {
  if (thread_sanitized) return;  // a handler within its runtime spoils its trace of the thread
  check(step_through([] { aligned_frame(100); }), 10);
}

TEST_CASE("at every instruction of assembly without true information the walk is complete") {
  if (thread_sanitized) return;  // a handler within its runtime spoils its trace of the thread
  check(step_through([] { (void)pushes_in_secret(); }), 8);
  check(step_through([] { leads_into_the_stack(); }), 10);
  check(step_through([] { (void)says_nothing(); }), 3);
  check(step_through([] { (void)keeps_in_rbx(); }), 10);
}

TEST_SUITE_END();

#endif  // defined(__x86_64__)
