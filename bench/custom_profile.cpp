// SPDX-License-Identifier: Apache-2.0
//
// One entry begun and ended, 10 and 30 calls deep, with 0 to a million others alive: as a RAII
// entry, and by value with add and remove. bench/peers/custom_profile.go is the same in Go. The
// calls alone are measured too.
#include <benchmark/benchmark.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include <whence/profile.hpp>
#include <whence/tracked.hpp>

namespace {

using sessions = whence::custom_profile<"bench.sessions">;

whence::profile& values() {
  static whence::profile& p = whence::new_profile("bench.values");
  return p;
}

template <class Body>
[[gnu::noinline]] void deep(int depth, Body& body) {
  if (depth > 1) {
    deep(depth - 1, body);
    asm volatile("");  // not a tail call
  } else {
    body();
  }
}

struct nothing {
  void operator()() { benchmark::ClobberMemory(); }
};
struct raii {
  void operator()() {
    whence::tracked<sessions> entry;
    benchmark::DoNotOptimize(entry);
  }
};
struct by_value {
  whence::profile& profile = values();
  std::uint64_t key = 0;
  void operator()() {
    profile.add(key);
    profile.remove(key);
  }
};

// `live` other values, shared by all threads, at the same stack.
void fill(benchmark::State& state) {
  if (state.thread_index() != 0) return;
  for (std::int64_t i = 0; i < state.range(1); ++i) values().add(i * 64 + 1);
}
void empty(benchmark::State& state) {
  if (state.thread_index() != 0) return;
  for (std::int64_t i = 0; i < state.range(1); ++i) values().remove(i * 64 + 1);
}

template <class Body>
void entry(benchmark::State& state) {
  fill(state);
  Body body{};
  if constexpr (std::is_same_v<Body, by_value>) {
    body.key = std::uint64_t{1} << (40 + state.thread_index());
  }
  const int depth = static_cast<int>(state.range(0));
  for (auto _ : state) deep(depth, body);
  empty(state);
}

BENCHMARK(entry<nothing>)->Name("calls")->ArgNames({"depth", "live"})->Args({10, 0})->Args({30, 0});
BENCHMARK(entry<raii>)
    ->Name("raii")
    ->ArgNames({"depth", "live"})
    ->ArgsProduct({{10, 30}, {0}})
    ->ThreadRange(1, 2);
BENCHMARK(entry<by_value>)
    ->Name("add_remove")
    ->ArgNames({"depth", "live"})
    ->ArgsProduct({{10, 30}, {0, 1000, 100'000, 1'000'000}})
    ->ThreadRange(1, 2);

}  // namespace

BENCHMARK_MAIN();
