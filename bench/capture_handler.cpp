// SPDX-License-Identifier: Apache-2.0
//
// What a stack costs in the place where CPU profilers take it: in a SIGPROF handler, at any
// instruction the timer meets, with the caches as the program left them. Ours and libgcc's take
// turns to walk first, and only the first walk counts: it warms the stack for the second. The load
// prints no floating point, since libgcc's walk crashes in that code.
//
// It also measures a miss: a rule made from call-frame information, for 200 addresses in turn.
#include <signal.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>
#include <unwind.h>
#include <x86intrin.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <random>
#include <string>
#include <vector>

#include <whence/unwind/capture.hpp>

namespace {

using namespace whence;

constinit sys::memory_budget budget{std::size_t{64} << 20};
constinit sys::arena arena{budget};
constinit unwind::unwinder::storage storage{};
constinit unwind::unwinder unwinder{storage, arena};

struct sample {
  std::uint32_t ticks, frames;
};
constexpr std::size_t most = 200'000;
std::array<std::array<sample, most>, 2> samples;  // ours, libgcc's
std::array<std::size_t, 2> taken{};
unsigned turn = 0;

std::uint64_t now() {
  unsigned processor;
  return __rdtscp(&processor);
}

void handler(int, siginfo_t*, void* context) {
  std::array<std::uintptr_t, 128> pcs;
  const unsigned who = turn++ & 1;
  if (taken[who] == most) return;
  std::uint32_t frames = 0;
  const std::uint64_t from = now();
  if (who == 0) {
    unwind::trace t{pcs.data(), pcs.size()};
    capture_context(unwinder, t, *static_cast<ucontext_t*>(context));
    frames = static_cast<std::uint32_t>(t.depth);
  } else {
    _Unwind_Backtrace(
        [](_Unwind_Context*, void* n) {
          ++*static_cast<std::uint32_t*>(n);
          return _URC_NO_REASON;
        },
        &frames);
  }
  samples[who][taken[who]++] = {static_cast<std::uint32_t>(now() - from), frames};
}

// Work inside the standard library and libc.
[[gnu::noinline]] std::uint64_t work(std::mt19937& random) {
  std::map<std::string, int> words;
  for (int i = 0; i < 200; ++i) ++words["word " + std::to_string(random() % 150)];
  std::vector<std::string> sorted;
  for (const auto& [word, count] : words) sorted.push_back(word + std::to_string(count));
  std::sort(sorted.begin(), sorted.end(), std::greater<>{});
  char text[80];
  std::snprintf(text, sizeof text, "%s %zu", sorted[0].c_str(), sorted.size());
  return sorted.size() + static_cast<unsigned char>(text[0]);
}

// Puts that many different functions above it, with frames of different sizes.
template <int N>
[[gnu::noinline]] std::uint64_t work_below(std::mt19937& random) {
  std::array<std::uint64_t, 1 + N % 5> locals{};
  asm volatile("" ::"r"(locals.data()) : "memory");
  std::uint64_t below = 0;
  if constexpr (N > 1) {
    below = work_below<N - 1>(random);
  } else {
    below = work(random);
  }
  asm volatile("" ::"r"(locals.data()) : "memory");
  return below + locals[0];
}
constexpr int functions_above = 17;  // with those below and above: 23 frames

double ticks_per_ns() {
  const auto started = std::chrono::steady_clock::now();
  const std::uint64_t from = now();
  while (std::chrono::steady_clock::now() - started < std::chrono::milliseconds(50)) {
  }
  const std::chrono::duration<double, std::nano> took = std::chrono::steady_clock::now() - started;
  return static_cast<double>(now() - from) / took.count();
}

void report(const char* name, unsigned who, double scale) {
  std::vector<sample> all(samples[who].begin(),
                          samples[who].begin() + static_cast<std::ptrdiff_t>(taken[who]));
  if (all.empty()) return;
  std::sort(all.begin(), all.end(), [](sample a, sample b) { return a.ticks < b.ticks; });
  double frames = 0;
  double ticks = 0;
  for (const sample& one : all) {
    frames += one.frames;
    ticks += one.ticks;
  }
  const auto n = static_cast<double>(all.size());
  std::printf("| %s | %zu | %.1f | %.0f | %.0f | %.0f | %.0f |\n", name, all.size(), frames / n,
              all[all.size() / 2].ticks / scale, ticks / n / scale,
              all[all.size() - 1 - all.size() / 100].ticks / scale, ticks / frames / scale);
}

void report_miss() {
  std::vector<std::uintptr_t> pcs;
  unwind::memory_in_place memory;
  std::mt19937 random{5};
  const auto inside = reinterpret_cast<std::uintptr_t>(&std::snprintf);
  const unwind::module* const libc = unwinder.permanent().find(inside);
  while (pcs.size() < 200) {
    const std::uintptr_t pc = libc->code_start + random() % (libc->code_end - libc->code_start);
    if (make_rule(*libc, pc, memory).is_frame()) pcs.push_back(pc);
  }
  std::vector<double> rounds;
  std::uint64_t sum = 0;
  for (int round = 0; round < 101; ++round) {
    const auto started = std::chrono::steady_clock::now();
    for (const std::uintptr_t pc : pcs) {
      sum += make_rule(*unwinder.permanent().find(pc), pc, memory).word();
    }
    const std::chrono::duration<double, std::nano> took =
        std::chrono::steady_clock::now() - started;
    rounds.push_back(took.count() / static_cast<double>(pcs.size()));
  }
  std::nth_element(rounds.begin(), rounds.begin() + 50, rounds.end());
  std::printf("\na rule made from hot data, 200 addresses of libc in turn: %.0f ns (%llu)\n",
              rounds[50], static_cast<unsigned long long>(sum & 1));
}

}  // namespace

int main(int argc, char** argv) {
  const int seconds = argc > 1 ? std::atoi(argv[1]) : 8;
  if (!unwinder.find_modules()) return 1;
  const double scale = ticks_per_ns();
  struct sigaction action {};
  action.sa_sigaction = &handler;
  action.sa_flags = SA_SIGINFO | SA_RESTART;
  ::sigaction(SIGPROF, &action, nullptr);
  sigevent event{};
  event.sigev_notify = SIGEV_SIGNAL;
  event.sigev_signo = SIGPROF;
  timer_t timer{};
  if (::timer_create(CLOCK_MONOTONIC, &event, &timer) != 0) return 1;
  const itimerspec every{{0, 700'000}, {0, 700'000}};
  ::timer_settime(timer, 0, &every, nullptr);
  std::mt19937 random{1};
  std::uint64_t sum = 0;
  const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(seconds);
  while (std::chrono::steady_clock::now() < until) sum += work_below<functions_above>(random);
  ::timer_delete(timer);

  std::printf(
      "| first in a SIGPROF handler | samples | frames | median ns | mean ns | p99 ns | ns a frame "
      "|\n|---|---|---|---|---|---|---|\n");
  report("whence", 0, scale);
  report("libgcc", 1, scale);
  std::printf(
      "\n%.1f rules were made per 100 of our walks; libgcc also walks the handler itself\n",
      100.0 * static_cast<double>(unwinder.counts().misses()) / static_cast<double>(taken[0]));
  report_miss();
  return sum == 0 ? 1 : 0;
}
