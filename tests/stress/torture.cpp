// SPDX-License-Identifier: Apache-2.0
//
// Everything at once: each of eight threads is interrupted a thousand times a second and captures
// the stack in the handler, while they load and unload libraries that replace each other in memory,
// throw, fork, jump, switch contexts, allocate, start threads, and run generated code, for which
// there is no call-frame information.
//
// How a stack is known to be right:
//   taken by a call        it equals libgcc's, frame by frame; through a library, its first frames
//                          are the library's functions in their order.
//   taken in a handler     while a thread works on known ground, whatever it does, its stack ends
//                          with the ground's, which was taken by a call and is right.
//
// torture [--seconds N] LIBRARY...: fails for a wrong frame, a crash, a hang, for a part that never
// ran, and if no library ever replaced another one.
#include <dlfcn.h>
#include <pthread.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cinttypes>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "generated_code.hpp"
#include "ground.hpp"
#include "load.hpp"
#include "support/sanitizers.hpp"

namespace {

namespace unwind = whence::unwind;
using stress::check_by_call;
using stress::fail;
using stress::ground;
using stress::on_known_ground;
using stress::stack;

std::atomic<bool> stop{false};
std::atomic<std::uint64_t> took_place{0}, same_returns{0};

// ---- libraries that take each other's place

using chain = int (*)(void (*)(void*), void*);

struct library {
  const char* path;
  chain outer = nullptr, middle = nullptr, inner = nullptr;
  std::uintptr_t base = 0;
  stack through{};
};

bool in_block(std::uintptr_t pc, chain function, std::size_t block) noexcept {
  const auto start = reinterpret_cast<std::uintptr_t>(function);
  return pc > start && pc < start + block;
}

// Called by the innermost of the library's functions.
[[gnu::noinline]] void in_library(void* argument) {
  constexpr std::size_t block = 4096;  // as torture_plugin.cpp aligns them
  auto& l = *static_cast<library*>(argument);
  stack& s = ground->frames;
  stress::take_by_call(__builtin_return_address(0), s);
  if (s.depth < 5 || !in_block(s.pcs[0], l.inner, block) || !in_block(s.pcs[1], l.middle, block) ||
      !in_block(s.pcs[2], l.outer, block)) {
    fail("not the functions of the library", s, s);
  }
  for (std::size_t i = 0; i < 3; ++i) l.through.pcs[i] = s.pcs[i];
  ground->active = true;
  stress::random_numbers random(s.pcs[0]);
  for (int i = 0; i < 5; ++i) stress::callbacks(random);
  stress::allocations(random);
  ground->active = false;
}

template <class Function>
Function find(void* handle, const char* name) {
  auto* const function = reinterpret_cast<Function>(::dlsym(handle, name));
  if (function == nullptr) {
    std::fprintf(stderr, "FAILED: dlsym: %s\n", ::dlerror());
    std::abort();
  }
  return function;
}

// Which library was last at each place, and where its functions returned to.
void note_place(const library& l) {
  struct occupant {
    std::string path;
    std::uintptr_t returns[3];
  };
  static std::mutex mutex;
  static std::map<std::uintptr_t, occupant> occupants;
  const std::lock_guard lock(mutex);
  occupant& o = occupants[l.base];
  if (!o.path.empty() && o.path != l.path) {
    took_place.fetch_add(1, std::memory_order_relaxed);
    if (std::memcmp(o.returns, l.through.pcs, sizeof o.returns) == 0) {
      same_returns.fetch_add(1, std::memory_order_relaxed);
    }
  }
  o.path = l.path;
  std::memcpy(o.returns, l.through.pcs, sizeof o.returns);
}

void load_and_unload(library& l, stress::random_numbers& random) {
  void* const handle = ::dlopen(l.path, RTLD_NOW | RTLD_LOCAL);
  if (handle == nullptr) {
    std::fprintf(stderr, "FAILED: %s\n", ::dlerror());
    std::abort();
  }
  l.outer = find<chain>(handle, "plugin_outer");
  l.middle = find<chain>(handle, "plugin_middle");
  l.inner = find<chain>(handle, "plugin_inner");
  Dl_info info{};
  ::dladdr(reinterpret_cast<void*>(l.outer), &info);
  l.base = reinterpret_cast<std::uintptr_t>(info.dli_fbase);
  stress::kept += static_cast<std::uint64_t>(l.outer(in_library, &l));
  note_place(l);
  stress::stale_address.store(l.through.pcs[random.below(3)], std::memory_order_relaxed);
  ::dlclose(handle);
}

// ---- the parts

std::vector<library> libraries[2];  // each for one thread, so that they are really unloaded

void plugins(stress::random_numbers& random, std::size_t which) {
  std::vector<library>& mine = libraries[which];
  load_and_unload(mine[random.below(mine.size())], random);
  stress::below_generated_code(random);
}

void throwing(stress::random_numbers& random) {
  on_known_ground([&] { stress::exceptions(random); });
  try {
    stress::throws(3, random());
  } catch (...) {
    check_by_call();
  }
}

void forking(stress::random_numbers&) {
  const pid_t child = ::fork();
  if (child == 0) {
    stress::timer = nullptr;
    check_by_call();
    on_known_ground([] { ::raise(SIGPROF); });
    ::_exit(0);
  }
  int status = -1;
  while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  if (status != 0) {
    std::fprintf(stderr, "FAILED: a forked child ended with status 0x%x\n",
                 static_cast<unsigned>(status));
    std::abort();
  }
}

// Deep stacks of two kinds of frames are taken repeatedly while their leaf ends change: the walk
// must notice that its memory of the last stack is outdated.
template <int Kind>
[[gnu::noinline]] std::uint64_t descend(stress::random_numbers& random, int levels) {
  volatile std::uint64_t frame[2 + 6 * Kind] = {1};
  for (std::uint64_t times = levels < 30 && random.below(10) == 0 ? 2 : 1; times > 0; --times) {
    if (levels > 0) {
      frame[0] = random.below(2) == 0 ? descend<0>(random, levels - 1) + frame[1]
                                      : descend<1>(random, levels - 1) + frame[1];
    }
    if (levels == 0 || random.below(8) == 0) check_by_call();
  }
  return frame[0];
}

void jumping(stress::random_numbers& random) {
  stress::keep(descend<0>(random, static_cast<int>(20 + random.below(100))));
  on_known_ground([&] {
    stress::jumps(random);
    stress::indirect_calls(random);
    stress::own_signals(random);
  });
  stress::below_generated_code(random);
  check_by_call();
}

void fibre_that_checks() {
  stress::random_numbers random(reinterpret_cast<std::uintptr_t>(stress::fibre::current));
  for (int i = 0; i < 5; ++i) {
    check_by_call();
    stress::keep(descend<0>(random, 50));
    stress::callbacks(random);
    stress::fibre::current->pause();
  }
}

void switching(stress::random_numbers&) {
  stress::fibre fibres[2];
  for (stress::fibre& f : fibres) f.start(fibre_that_checks);
  for (int i = 0; i < 5; ++i) {
    for (stress::fibre& f : fibres) f.resume();
    check_by_call();
  }
}

void allocating(stress::random_numbers& random) {
  static std::FILE* const nowhere = std::fopen("/dev/null", "w");
  on_known_ground([&] {
    stress::allocations(random);
    stress::containers(random);
    stress::printed_numbers(random, nowhere);
  });
  stress::below_generated_code(random);
}

void* short_life(void* seed) {
  stress::random_numbers random(reinterpret_cast<std::uintptr_t>(seed));
  const stress::interruptions here(random.below(2) == 0);
  check_by_call();
  on_known_ground([&] { stress::callbacks(random); });
  return nullptr;
}

void starting_threads(stress::random_numbers& random) {
  pthread_t threads[3];
  for (pthread_t& t : threads) {
    ::pthread_create(&t, nullptr, short_life, reinterpret_cast<void*>(random()));
  }
  for (const pthread_t t : threads) ::pthread_join(t, nullptr);
}

struct part {
  const char* name;
  void (*turn)(stress::random_numbers&);
  std::atomic<std::uint64_t> turns{0};
};
part parts[] = {{"dlopen", [](stress::random_numbers& r) { plugins(r, 0); }},
                {"dlopen", [](stress::random_numbers& r) { plugins(r, 1); }},
                {"throw", throwing},
                {"fork", forking},
                {"longjmp", jumping},
                {"swapcontext", switching},
                {"allocate", allocating},
                {"threads", starting_threads}};

void* run(void* argument) {
  auto& p = *static_cast<part*>(argument);
  stress::random_numbers random(static_cast<std::uint64_t>(&p - parts) + 11);
  const stress::interruptions here(random.below(2) == 0);
  while (!stop.load(std::memory_order_relaxed)) {
    p.turn(random);
    p.turns.fetch_add(1, std::memory_order_relaxed);
  }
  return nullptr;
}

void report(std::FILE* out) {
  for (const part& p : parts) {
    std::fprintf(out, "%-12s %10" PRIu64 " turns\n", p.name, p.turns.load());
  }
  std::fprintf(out, "%10" PRIu64 "  libraries in the place of another\n", took_place.load());
  std::fprintf(out, "%10" PRIu64 "  of these with all returns at the same places\n",
               same_returns.load());
  std::fprintf(out, "%10" PRIu64 "  stacks taken by calls, all equal to libgcc's\n",
               stress::by_call.load());
  std::fprintf(out, "%10" PRIu64 "  stacks taken by calls from generated code\n",
               stress::below_generated.load());
  std::fprintf(out, "%10" PRIu64 "  stacks taken in handlers\n", stress::in_handlers.load());
  std::fprintf(out, "%10" PRIu64 "  of these complete on known ground\n", stress::on_ground.load());
  std::fprintf(out, "%10zu  of these said to be complete, but not on the ground\n",
               stress::astray.load());
  for (int i = 0; i < unwind::stop_reason_count; ++i) {
    std::fprintf(out, "%10" PRIu64 "  %s\n", stress::ends[i].load(), unwind::stop_reason_texts[i]);
  }
}

void on_hang(int) {
  std::fputs("FAILED: hangs\n", stderr);
  report(stderr);
  std::abort();
}

}  // namespace

int main(int argc, char** argv) {
  unsigned seconds = 5;
  std::size_t count = 0;
  for (int i = 1; i < argc; ++i) {
    if (std::strcmp(argv[i], "--seconds") == 0 && i + 1 < argc) {
      seconds = static_cast<unsigned>(std::atoi(argv[++i]));
    } else {
      libraries[count++ % 2].push_back({argv[i]});
    }
  }
  if (libraries[1].size() < 2) {
    std::fprintf(stderr, "usage: torture [--seconds N] LIBRARY LIBRARY LIBRARY LIBRARY...\n");
    return 2;
  }
  if (!stress::unwinder.find_modules()) {
    std::fprintf(stderr, "no memory for the unwinder\n");
    return 2;
  }
  stress::install_own_handler();
  stress::learn_context_start();
  struct sigaction action {};
  action.sa_sigaction = stress::on_sigprof;
  action.sa_flags = SA_SIGINFO | SA_RESTART | SA_ONSTACK;
  ::sigaction(SIGPROF, &action, nullptr);
  ::signal(SIGALRM, on_hang);
  ::alarm(seconds + 60);

  pthread_t threads[std::size(parts)];
  for (std::size_t i = 0; i < std::size(parts); ++i) {
    ::pthread_create(&threads[i], nullptr, run, &parts[i]);
  }
  const std::time_t end = std::time(nullptr) + static_cast<std::time_t>(seconds);
  while (std::time(nullptr) < end) ::usleep(100'000);
  stop = true;
  for (const pthread_t t : threads) ::pthread_join(t, nullptr);

  report(stdout);
  stress::report_astray();
  bool fine = (took_place > 0 || sanitized) && stress::astray == 0 && stress::below_generated > 0;
  for (const part& p : parts) fine = fine && p.turns > 0;
  std::printf("%s\n", fine ? "passed" : "FAILED");
  return fine ? 0 : 1;
}
