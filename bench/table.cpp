// SPDX-License-Identifier: Apache-2.0
//
// The table of stacks alone: a known stack of 20 frames is looked up, in a table of one stack (all
// in cache) and of 100 000 in random order (the index and the bucket are cache misses); and a new
// stack is inserted.
#include <benchmark/benchmark.h>

#include <cstdint>
#include <memory>
#include <random>
#include <vector>

#include <whence/tables/table.hpp>

namespace {

using namespace whence;

struct own_table {
  sys::memory_budget budget{std::size_t{8} << 30};
  sys::arena arena{budget};
  tables::losses losses;
  tables::table table{arena, losses};
  tables::bucket_list list{1};

  tables::bucket* record(const std::vector<std::uintptr_t>& pcs) {
    return table.record(list, {{pcs.data(), pcs.size(), false, false}, 0, 0, 0});
  }
};

void set_leaf(std::vector<std::uintptr_t>& pcs, std::uintptr_t n) {
  pcs[0] = 0x400000 + n;
}

std::vector<std::uintptr_t> frames() {
  std::vector<std::uintptr_t> pcs(20);
  for (std::size_t i = 0; i < pcs.size(); ++i) pcs[i] = 0x500000 + 64 * i;
  return pcs;
}

void known(benchmark::State& state) {
  own_table t;
  auto pcs = frames();
  const auto n = static_cast<std::uintptr_t>(state.range(0));
  for (std::uintptr_t i = 0; i < n; ++i) {
    set_leaf(pcs, i);
    t.record(pcs);
  }
  std::minstd_rand random(1);
  for (auto _ : state) {
    set_leaf(pcs, random() % n);
    t.record(pcs)->add(0, 1);
  }
}

void fresh(benchmark::State& state) {
  auto t = std::make_unique<own_table>();
  auto pcs = frames();
  std::uintptr_t n = 0;
  for (auto _ : state) {
    set_leaf(pcs, n++);
    benchmark::DoNotOptimize(t->record(pcs));
  }
}

BENCHMARK(known)->ArgName("stacks")->Arg(1)->Arg(1000)->Arg(100'000)->Arg(1'000'000);
BENCHMARK(fresh)->Iterations(1'000'000);

}  // namespace

BENCHMARK_MAIN();
