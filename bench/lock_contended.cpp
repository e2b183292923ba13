// SPDX-License-Identifier: Apache-2.0
//
// 2 and 4 threads on one lock, for many turns: nanoseconds for a critical section, all threads
// together. The same lock is measured with nothing recorded and with everything, which are the
// start values, beside std::mutex, and absl::Mutex if it is installed. bench/peers/mutex.go is the
// same in Go.
//
// Rounds are short and shuffled, and ratios are medians of pairs of one round: on a machine of two
// processors, the figures of a contended lock vary much.
#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <mutex>
#include <numeric>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "lock_peers.hpp"
#include <whence/knobs.hpp>
#include <whence/mutex.hpp>
#include <whence/profile.hpp>

namespace {

using clock = std::chrono::steady_clock;

struct load {
  int threads;
  int inside;   // steps of dependent work under the lock
  int outside;  // steps without it
  int turns;    // turns of each thread
};
constexpr std::array<load, 4> loads{
    {{2, 50, 50, 40'000}, {4, 50, 50, 20'000}, {2, 1000, 1000, 3'000}, {4, 1000, 1000, 1'500}}};

// About a nanosecond a step.
unsigned work(unsigned x, int steps) {
  for (int i = 0; i < steps; ++i) x = x * 1'664'525 + 1'013'904'223;
  return x;
}

struct outcome {
  double ns = 0;          // a critical section
  double longest_ms = 0;  // longest time of sixteen turns
  double recorded = 0;    // waits, for a hundred turns
};

volatile unsigned sink;

template <class M>
outcome measure(M& m, const load& l) {
  std::atomic<int> ready{0};
  std::vector<std::thread> threads;
  std::vector<clock::duration> longest(static_cast<std::size_t>(l.threads));
  unsigned shared = 1;
  std::atomic<bool> go{false};
  for (int t = 0; t < l.threads; ++t) {
    threads.emplace_back([&, t] {
      unsigned own = static_cast<unsigned>(t);
      auto& mine = longest[static_cast<std::size_t>(t)];
      ++ready;
      while (!go) std::this_thread::yield();
      clock::time_point last = clock::now();
      for (int i = 0; i < l.turns; ++i) {
        m.lock();
        shared = work(shared, l.inside);
        m.unlock();
        own = work(own, l.outside);
        if (i % 16 == 0) {
          const clock::time_point now = clock::now();
          mine = std::max(mine, now - last);
          last = now;
        }
      }
      sink = own;
    });
  }
  while (ready < l.threads) std::this_thread::yield();
  const clock::time_point begin = clock::now();
  go = true;
  for (auto& t : threads) t.join();
  const std::chrono::duration<double, std::nano> all = clock::now() - begin;
  sink = shared;
  const std::chrono::duration<double, std::milli> worst =
      *std::max_element(longest.begin(), longest.end());
  return {all.count() / l.threads / l.turns, worst.count()};
}

enum class recording { none, all };

template <class M>
struct alignas(64) own_line {
  M m;
};
own_line<std::mutex> standard;
own_line<whence::tracked_mutex<>> tracked;
own_line<whence::mutex> ours;
#ifdef WHENCE_BENCH_ABSL
own_line<absl_mutex> abseil;
#endif

void record(recording r) {
  whence::set_block_profile_rate(r == recording::none ? 0 : 1);
  whence::set_mutex_profile_fraction(r == recording::none ? 0 : 1);
  whence::set_mutex_hold_profile_rate(r == recording::none ? 0 : 1000);
}

std::int64_t waits() {
  std::int64_t all = 0;
  for (const auto& row : whence::lookup("block")->snapshot().rows) all += row.values[0];
  return all;
}

template <class M>
outcome recorded(M& m, recording r, const load& l) {
  record(r);
  const std::int64_t before = waits();
  outcome o = measure(m, l);
  o.recorded = 100.0 * static_cast<double>(waits() - before) / l.threads / l.turns;
  return o;
}

struct variant {
  const char* name;
  outcome (*run)(const load&);
  std::size_t beside;  // the variant it is compared with
};
const variant variants[] = {
    {"std::mutex", [](const load& l) { return measure(standard.m, l); }, 0},
    {"tracked_mutex<>, nothing recorded",
     [](const load& l) { return recorded(tracked.m, recording::none, l); }, 0},
    {"tracked_mutex<>, everything",
     [](const load& l) { return recorded(tracked.m, recording::all, l); }, 1},
    {"whence::mutex, nothing recorded",
     [](const load& l) { return recorded(ours.m, recording::none, l); }, 0},
    {"whence::mutex, everything", [](const load& l) { return recorded(ours.m, recording::all, l); },
     3},
#ifdef WHENCE_BENCH_ABSL
    {"absl::Mutex", [](const load& l) { return measure(abseil.m, l); }, 0},
#endif
};
constexpr std::size_t count = std::size(variants);

template <class T>
T median(std::vector<T> values) {
  std::nth_element(values.begin(), values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2),
                   values.end());
  return values[values.size() / 2];
}

}  // namespace

int main(int argc, char** argv) {
  const int rounds = argc > 1 ? std::stoi(argv[1]) : 101;
  std::mt19937 random(1);
  std::printf(
      "| threads | steps | lock | ns | median of ratios | to | longest 16 turns, ms: median, most "
      "| "
      "waits in 100 turns |\n|---|---|---|---|---|---|---|---|\n");
  for (const load& l : loads) {
    std::vector<std::array<outcome, count>> all(static_cast<std::size_t>(rounds));
    for (auto& round : all) {
      std::array<std::size_t, count> order;
      std::iota(order.begin(), order.end(), std::size_t{0});
      std::shuffle(order.begin(), order.end(), random);
      for (const std::size_t i : order) round[i] = variants[i].run(l);
    }
    for (std::size_t i = 0; i < count; ++i) {
      std::vector<double> ns, ratio, worst, recorded;
      for (const auto& round : all) {
        ns.push_back(round[i].ns);
        ratio.push_back(round[i].ns / round[variants[i].beside].ns);
        worst.push_back(round[i].longest_ms);
        recorded.push_back(round[i].recorded);
      }
      std::printf("| %d | %d | %s | %.0f | %.2f | %s | %.1f, %.0f | %.2f |\n", l.threads, l.inside,
                  variants[i].name, median(ns), median(ratio), variants[variants[i].beside].name,
                  median(worst), *std::max_element(worst.begin(), worst.end()), median(recorded));
      std::fflush(stdout);
    }
  }
}
