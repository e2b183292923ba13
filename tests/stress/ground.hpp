// SPDX-License-Identifier: Apache-2.0
//
// The known part of a thread's stack, and the captures that are compared with it: by a call, where
// libgcc tells the truth, and in the handler of SIGPROF, where the stack has to end with the stack
// of the last call.
#ifndef WHENCE_TESTS_STRESS_GROUND_HPP
#define WHENCE_TESTS_STRESS_GROUND_HPP

#include <pthread.h>
#include <signal.h>
#include <ucontext.h>

#include <atomic>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <memory>

#include "code_map.hpp"
#include "support/sanitizers.hpp"
#include "thread_timer.hpp"
#include "walkers.hpp"
#include <whence/sys/arena.hpp>
#include <whence/sys/pages.hpp>
#include <whence/unwind/capture.hpp>

namespace stress {

inline constinit whence::sys::memory_budget budget{std::size_t{64} << 20};
inline constinit whence::sys::arena arena{budget};
inline constinit whence::unwind::unwinder::storage storage{};
inline constinit whence::unwind::unwinder unwinder{storage, arena};

inline std::atomic<std::uint64_t> by_call{0}, in_handlers{0}, on_ground{0};
inline std::atomic<std::uint64_t> ends[whence::unwind::stop_reason_count];

// Stacks that claim to be complete and leave known ground; the first ones are kept.
struct example {
  stack got, wanted;
};
inline constexpr std::size_t most_examples = 5;
inline example examples[most_examples];
inline std::atomic<std::size_t> astray{0};

// Written by its thread, read by the thread's handler while `active`.
struct known_ground {
  stack frames;
  volatile bool active = false;
};
inline constinit thread_local known_ground* ground = nullptr;
inline constinit thread_local stack* scratch = nullptr;  // the handler's
inline constinit thread_local thread_timer* timer = nullptr;

inline void print(const char* what, const std::uintptr_t* pcs, std::size_t depth) {
  std::fprintf(stderr, "%s: %zu frames\n", what, depth);
  for (std::size_t i = 0; i < depth; ++i) {
    std::fprintf(stderr, "  %3zu  %s\n", i, describe(pcs[i] - (i > 0 ? 1 : 0)).c_str());
  }
}

[[noreturn]] inline void fail(const char* what, const stack& got, const stack& wanted) {
  std::fprintf(stderr, "FAILED: %s\n", what);
  print("got", got.pcs, got.depth);
  print("wanted", wanted.pcs, wanted.depth);
  std::abort();
}

inline bool ends_with(const stack& all, const stack& tail) noexcept {
  if (all.depth < tail.depth) return false;
  for (std::size_t i = 1; i <= tail.depth; ++i) {
    if (all.pcs[all.depth - i] != tail.pcs[tail.depth - i]) return false;
  }
  return true;
}

// The stack from the frame that returns to `caller`, compared with libgcc's.
[[gnu::noinline]] inline void take_by_call(const void* caller, stack& s) {
  static thread_local stack reference;
  s.depth = reference.depth = 0;
  whence::unwind::trace t{s.pcs, stack::capacity};
  const whence::unwind::stop_reason end = whence::unwind::capture(unwinder, t, caller);
  s.depth = t.depth;
  walk_by_libgcc(caller, reference);
  if (s.depth != reference.depth || !ends_with(s, reference)) {
    fail("a stack differs from libgcc's", s, reference);
  }
  if (end != whence::unwind::stop_reason::root)
    fail("a stack is said to be incomplete", s, reference);
  by_call.fetch_add(1, std::memory_order_relaxed);
}

[[gnu::noinline]] inline void check_by_call() {
  static thread_local stack s;
  take_by_call(__builtin_return_address(0), s);
}

// Runs `work` on known ground.
template <class Work>
[[gnu::noinline]] void on_known_ground(Work work) {
  known_ground& g = *ground;
  take_by_call(__builtin_return_address(0), g.frames);
  g.active = true;
  work();
  g.active = false;
}

inline void on_sigprof(int, siginfo_t*, void* context) {
  const int saved = errno;
  if (scratch != nullptr) {
    const auto& interrupted = *static_cast<const ucontext_t*>(context);
    stack& s = *scratch;
    whence::unwind::trace t{s.pcs, stack::capacity};
    const whence::unwind::stop_reason end =
        whence::unwind::capture_context(unwinder, t, interrupted);
    s.depth = t.depth;
    ends[static_cast<int>(end)].fetch_add(1, std::memory_order_relaxed);
    in_handlers.fetch_add(1, std::memory_order_relaxed);
    if (s.depth == 0 || s.pcs[0] != interrupted_registers(interrupted).pc) {
      fail("a stack does not begin at the interrupted instruction", s, ground->frames);
    }
    // ThreadSanitizer delays handlers until the stack is another one.
    if (!thread_sanitized && ground->active && end == whence::unwind::stop_reason::root) {
      if (ends_with(s, ground->frames)) {
        on_ground.fetch_add(1, std::memory_order_relaxed);
      } else if (const std::size_t i = astray.fetch_add(1); i < most_examples) {
        examples[i].got = s;
        examples[i].wanted = ground->frames;
      }
    }
    if (timer != nullptr) timer->wind_up();
  }
  errno = saved;
}

// Interrupts a thread during its lifetime.
class interruptions {
 public:
  explicit interruptions(bool alternate_stack)
      : memory_(alternate_stack ? new char[alternate_bytes] : nullptr) {
    if (memory_) {
      const stack_t alternate{memory_.get(), 0, alternate_bytes};
      ::sigaltstack(&alternate, &before_);
    }
    ground = ground_.get();
    scratch = scratch_.get();
    timer = &timer_;
    timer_.wind_up();
  }
  ~interruptions() {
    sigset_t profiling;
    ::sigemptyset(&profiling);
    ::sigaddset(&profiling, SIGPROF);
    ::pthread_sigmask(SIG_BLOCK, &profiling, nullptr);
    timer = nullptr;
    scratch = nullptr;
    ground = nullptr;
    if (memory_) ::sigaltstack(&before_, nullptr);
  }
  interruptions(const interruptions&) = delete;
  interruptions& operator=(const interruptions&) = delete;

 private:
  static constexpr std::size_t alternate_bytes = 256 * 1024;
  static constexpr long mean_us = 1000;

  std::unique_ptr<char[]> memory_;
  stack_t before_{};
  std::unique_ptr<known_ground> ground_ = std::make_unique<known_ground>();
  std::unique_ptr<stack> scratch_ = std::make_unique<stack>();
  thread_timer timer_{mean_us};
};

inline void report_astray() {
  for (std::size_t i = 0; i < astray && i < most_examples; ++i) {
    std::fprintf(stderr, "FAILED: a stack leaves known ground\n");
    print("got", examples[i].got.pcs, examples[i].got.depth);
    print("wanted at its end", examples[i].wanted.pcs, examples[i].wanted.depth);
  }
}

}  // namespace stress

#endif  // WHENCE_TESTS_STRESS_GROUND_HPP
