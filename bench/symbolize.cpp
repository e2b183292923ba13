// SPDX-License-Identifier: Apache-2.0
//
// Times the way from 5000 addresses of this program and its libraries to names, lines and inlined
// frames: first with files to read, then from the cache. glibc's dladdr, which knows only exported
// functions, gets the same addresses.
#include <benchmark/benchmark.h>
#include <dlfcn.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

#include <whence/symbols/mappings.hpp>
#include <whence/symbols/symbolizer.hpp>

namespace {

using namespace whence;

// Spread evenly over the code of the program and its libraries.
std::vector<std::uintptr_t> addresses() {
  std::vector<std::uintptr_t> all;
  const auto mappings = symbols::read_mappings();
  std::uintptr_t total = 0;
  for (const symbols::mapping& m : mappings) total += m.limit - m.start;
  for (const symbols::mapping& m : mappings) {
    for (std::uintptr_t pc = m.start; pc < m.limit; pc += total / 5000) all.push_back(pc);
  }
  return all;
}

void first(benchmark::State& state) {
  const auto all = addresses();
  for (auto _ : state) {
    symbols::symbolizer fresh;
    const symbols::symbolizer::reading open(fresh);
    for (const std::uintptr_t pc : all) benchmark::DoNotOptimize(&fresh.resolve(pc));
  }
  state.SetItemsProcessed(static_cast<std::int64_t>(all.size()) * state.iterations());
}

void cached(benchmark::State& state) {
  const auto all = addresses();
  symbols::symbolizer& shared = symbols::symbolizer::instance();
  for (auto _ : state) {
    for (const std::uintptr_t pc : all) benchmark::DoNotOptimize(&shared.resolve(pc));
  }
  state.SetItemsProcessed(static_cast<std::int64_t>(all.size()) * state.iterations());
}

void dladdr_only(benchmark::State& state) {
  const auto all = addresses();
  for (auto _ : state) {
    for (const std::uintptr_t pc : all) {
      Dl_info info{};
      benchmark::DoNotOptimize(::dladdr(reinterpret_cast<const void*>(pc), &info));
    }
  }
  state.SetItemsProcessed(static_cast<std::int64_t>(all.size()) * state.iterations());
}

BENCHMARK(first)->Iterations(3)->Unit(benchmark::kMillisecond);
BENCHMARK(cached)->Unit(benchmark::kMillisecond);
BENCHMARK(dladdr_only)->Unit(benchmark::kMillisecond);

}  // namespace

BENCHMARK_MAIN();
