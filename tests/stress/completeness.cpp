// SPDX-License-Identifier: Apache-2.0
//
// How complete and how right capture_context's stacks are in a signal handler: on the same samples,
// at random places of a mixed load, beside libgcc, libunwind and a walk of frame pointers. Three
// threads are sampled: the main one, a second one, and one whose signals are handled on an
// alternate stack; a fourth compares what the handlers noted.
//
//   complete     the last frame is a root of stacks: what calls main, what starts a
//                thread, what starts a context. Which these are, libgcc says outside any signal.
//   interior     a frame differs from libgcc's although neither stack ends there. Where libgcc
//                leaves executable memory its stack is over: these are no frames.
//
// completeness [--samples N]: fails below 99.85 % complete stacks or below libgcc's, and for any
// interior difference, any frame outside executable memory or not behind a call, any crash, and for
// fewer samples than asked for.
#include <pthread.h>
#include <signal.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <memory>

#include "code_map.hpp"
#include "comparison.hpp"
#include "load.hpp"
#include "thread_timer.hpp"
#include "walkers.hpp"
#include <whence/sys/arena.hpp>
#include <whence/sys/pages.hpp>
#include <whence/unwind/capture.hpp>

namespace {

namespace unwind = whence::unwind;
using stress::comparison;
using stress::sample;
using stress::stack;

constexpr int thread_count = 3;
constexpr long mean_us = 250;

constinit whence::sys::memory_budget budget{std::size_t{64} << 20};
constinit whence::sys::arena arena{budget};
constinit unwind::unwinder::storage storage{};
constinit unwind::unwinder unwinder{storage, arena};
stress::libunwind libunwind;
bool has_libunwind = false;
std::uintptr_t restorer = 0;  // what a handler returns to
std::atomic<bool> stop{false};

// ---- in the handler

// The buffer has one writer, a handler, and one reader, the checker.
class sample_ring {
 public:
  sample* begin_write() noexcept {
    const std::size_t w = written_.load(std::memory_order_relaxed);
    if (w - read_.load(std::memory_order_acquire) == capacity) return nullptr;
    return &samples_[w % capacity];
  }
  void end_write() noexcept { written_.fetch_add(1, std::memory_order_release); }

  const sample* begin_read() noexcept {
    const std::size_t r = read_.load(std::memory_order_relaxed);
    return written_.load(std::memory_order_acquire) == r ? nullptr : &samples_[r % capacity];
  }
  void end_read() noexcept { read_.fetch_add(1, std::memory_order_release); }

 private:
  static constexpr std::size_t capacity = 64;
  sample samples_[capacity];
  std::atomic<std::size_t> written_{0};
  std::atomic<std::size_t> read_{0};
};

struct sampled_thread {
  sample_ring ring;
  stress::memory_range own_stack;
  const stress::load* load = nullptr;
  stress::thread_timer* timer = nullptr;
  std::atomic<std::uint64_t> lost{0};
};
sampled_thread sampled[thread_count];
constinit thread_local sampled_thread* self = nullptr;

// Only their starting point: the rest of a sample depends on the others' order.
void take(sample& s, const ucontext_t& context) noexcept {
  s.pc = stress::interrupted_registers(context).pc;
  s.kind = self->load->kind();
  for (stack& k : s.stacks) k.depth = 0;
  s.crashed[stress::ours] = !stress::survives([&] {
    unwind::trace t{s.stacks[stress::ours].pcs, stack::capacity};
    s.end = unwind::capture_context(unwinder, t, context);
    s.stacks[stress::ours].depth = t.depth;
    s.leaf_is_ip = t.leaf_is_ip;
    s.truncated = t.truncated;
  });
  s.crashed[stress::libgcc] =
      !stress::survives([&] { stress::walk_by_libgcc(context, s.stacks[stress::libgcc]); });
  s.crashed[stress::by_libunwind] = has_libunwind && !stress::survives([&] {
                                      libunwind.walk(context, s.stacks[stress::by_libunwind]);
                                    });
  s.crashed[stress::frame_pointers] = !stress::survives([&] {
    const stress::interrupted_registers r(context);
    const stress::fibre* const fibre = stress::fibre::current;
    const bool outside = fibre != nullptr && fibre->bounds().holds(r.sp);
    stress::walk_by_frame_pointers(context, outside ? fibre->bounds() : self->own_stack,
                                   s.stacks[stress::frame_pointers]);
  });
}

void on_sigprof(int, siginfo_t*, void* context) {
  const int saved = errno;
  if (self != nullptr && !stop.load(std::memory_order_relaxed)) {
    if (sample* const s = self->ring.begin_write()) {
      take(*s, *static_cast<const ucontext_t*>(context));
      self->ring.end_write();
    } else {
      self->lost.fetch_add(1, std::memory_order_relaxed);
    }
    self->timer->wind_up();
  }
  errno = saved;
}

// ---- the threads

stress::root_functions* roots = nullptr;

void* learn_thread_start(void*) {
  roots->learn(__builtin_return_address(0));
  return nullptr;
}
void learn_context_roots() {
  roots->learn(reinterpret_cast<void*>(stress::context_start.load()));
}
void learn_restorer(int) {
  restorer = reinterpret_cast<std::uintptr_t>(__builtin_return_address(0));
}

void learn_roots(const void* caller_of_main) {
  stress::learn_context_start();
  roots->learn(caller_of_main);
  pthread_t thread;
  ::pthread_create(&thread, nullptr, learn_thread_start, nullptr);
  ::pthread_join(thread, nullptr);
  stress::fibre fibre;
  fibre.start(learn_context_roots);
  ::signal(SIGUSR2, learn_restorer);
  ::raise(SIGUSR2);
}

void be_sampled(sampled_thread& me) {
  stress::load load(static_cast<std::uint64_t>(&me - sampled) + 1);
  me.own_stack = stress::own_stack();
  if (has_libunwind) {  // its first walk of a thread allocates
    ucontext_t here;
    static thread_local stack k;
    ::getcontext(&here);
    libunwind.walk(here, k);
  }
  stress::thread_timer timer(mean_us);
  me.timer = &timer;
  me.load = &load;
  self = &me;
  timer.wind_up();
  while (!stop.load(std::memory_order_relaxed)) load.one_step();
  timer.stop();
  self = nullptr;
}

void* run_plain(void* me) {
  be_sampled(*static_cast<sampled_thread*>(me));
  return nullptr;
}

void* run_on_alternate_stack(void* me) {
  constexpr std::size_t size = 256 * 1024;
  const auto memory = std::make_unique<char[]>(size);
  const stack_t alternate{memory.get(), 0, size};
  const stack_t none{nullptr, SS_DISABLE, 0};
  ::sigaltstack(&alternate, nullptr);
  be_sampled(*static_cast<sampled_thread*>(me));
  sigset_t all;
  ::sigfillset(&all);
  ::pthread_sigmask(SIG_BLOCK, &all, nullptr);
  ::sigaltstack(&none, nullptr);
  return nullptr;
}

struct checker {
  comparison* compared;
  std::uint64_t wanted;
};

void* run_checker(void* argument) {
  auto& [compared, wanted] = *static_cast<checker*>(argument);
  const std::time_t deadline = std::time(nullptr) + 60 + static_cast<std::time_t>(wanted / 200);
  while (compared->samples() < wanted && std::time(nullptr) < deadline) {
    bool any = false;
    for (sampled_thread& t : sampled) {
      if (const sample* const s = t.ring.begin_read()) {
        compared->add(*s);
        t.ring.end_read();
        any = true;
      }
    }
    if (!any) ::usleep(100);
  }
  stop = true;
  return nullptr;
}

}  // namespace

int main(int argc, char** argv) {
  std::uint64_t wanted = 20000;
  for (int i = 1; i < argc; ++i) {
    if (std::strcmp(argv[i], "--samples") == 0 && i + 1 < argc) {
      wanted = std::strtoull(argv[++i], nullptr, 10);
    } else {
      std::fprintf(stderr, "usage: completeness [--samples N]\n");
      return 2;
    }
  }
  if (!unwinder.find_modules()) {
    std::fprintf(stderr, "no memory for the unwinder\n");
    return 2;
  }
  has_libunwind = libunwind.open();
  stress::install_guard();
  stress::install_own_handler();
  struct sigaction action {};
  action.sa_sigaction = on_sigprof;
  action.sa_flags = SA_SIGINFO | SA_RESTART | SA_ONSTACK;
  ::sigaction(SIGPROF, &action, nullptr);

  stress::root_functions all_roots;
  roots = &all_roots;
  learn_roots(__builtin_return_address(0));
  std::printf("roots: %s\n", all_roots.names().c_str());
  const stress::executable_memory executable;
  comparison compared(all_roots, executable, restorer);
  checker check{&compared, wanted};

  pthread_t others[3];
  ::pthread_create(&others[0], nullptr, run_plain, &sampled[1]);
  ::pthread_create(&others[1], nullptr, run_on_alternate_stack, &sampled[2]);
  ::pthread_create(&others[2], nullptr, run_checker, &check);
  be_sampled(sampled[0]);
  for (const pthread_t thread : others) ::pthread_join(thread, nullptr);

  std::uint64_t lost = 0;
  for (const sampled_thread& t : sampled) lost += t.lost;
  return compared.report(wanted, lost, has_libunwind) ? 0 : 1;
}
