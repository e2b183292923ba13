// SPDX-License-Identifier: Apache-2.0
//
// What it costs to record every allocation (rate 1): a pair of 64 bytes compared with
// std::allocator.
#include <benchmark/benchmark.h>

#include <cstdint>
#include <memory>

#include <whence/allocator.hpp>
#include <whence/profile.hpp>  // what reads: without it nothing is recorded

namespace {

struct block {
  char bytes[64];
};

template <class Allocator>
void pair(benchmark::State& state) {
  whence::set_heap_profile_rate(1);
  Allocator a;
  for (auto _ : state) {
    block* p = a.allocate(1);
    benchmark::DoNotOptimize(p);
    a.deallocate(p, 1);
  }
}

BENCHMARK(pair<std::allocator<block>>)->Name("pair/std")->Threads(1)->Threads(2);
BENCHMARK(pair<whence::tracking_allocator<block>>)
    ->Name("pair/whence/rate:1")
    ->Threads(1)
    ->Threads(2);

}  // namespace

BENCHMARK_MAIN();
