// SPDX-License-Identifier: Apache-2.0
//
// What tracking_allocator costs compared with std::allocator, at the default rate: a tight pair of
// 64 bytes, and mixed churn of containers; with no sample alive and with 20 000 samples; on 1 and 2
// threads. Run it under another malloc (LD_PRELOAD) for the same on tcmalloc or jemalloc.
#include <benchmark/benchmark.h>

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include <whence/allocator.hpp>
#include <whence/profile.hpp>  // what reads: without it nothing is recorded

namespace {

constexpr std::int64_t default_rate = 512 * 1024;

struct block {
  char bytes[64];
};

template <class T>
using plain = std::allocator<T>;
template <class T>
using tracking = whence::tracking_allocator<T>;

template <template <class> class Allocator>
void pair(benchmark::State& state) {
  Allocator<block> a;
  for (auto _ : state) {
    block* p = a.allocate(1);
    benchmark::DoNotOptimize(p);
    a.deallocate(p, 1);
  }
}

// About five allocations of some 60 bytes in each step.
template <template <class> class Allocator>
void mixed(benchmark::State& state) {
  using string = std::basic_string<char, std::char_traits<char>, Allocator<char>>;
  using vector = std::vector<int, Allocator<int>>;
  using map = std::map<int, int, std::less<>, Allocator<std::pair<const int, int>>>;
  using hash_map = std::unordered_map<int, int, std::hash<int>, std::equal_to<>,
                                      Allocator<std::pair<const int, int>>>;
  map ordered;
  hash_map hashed;
  std::uint32_t random = 1;
  for (auto _ : state) {
    random = random * 1664525 + 1013904223;
    const int key = static_cast<int>(random >> 20);
    vector v;
    for (int i = 0; i < 12; ++i) v.push_back(key + i);
    string s("a string that is too long for the small buffer");
    s += static_cast<char>('a' + key % 26);
    if (!ordered.emplace(key, v.back()).second) ordered.erase(key);
    if (!hashed.emplace(key, v.front()).second) hashed.erase(key);
    benchmark::DoNotOptimize(s.data());
    benchmark::DoNotOptimize(v.data());
  }
}

// Keeps 20 000 samples alive during its lifetime: untouched, densely sampled blocks.
class live_samples {
 public:
  live_samples() {
    whence::set_heap_profile_rate(64 * 1024);
    for (int i = 0; i < 20'000; ++i) blocks_.push_back(allocator_.allocate(size));
    whence::set_heap_profile_rate(default_rate);
  }
  ~live_samples() {
    for (char* p : blocks_) allocator_.deallocate(p, size);
  }

 private:
  static constexpr std::size_t size = 512 * 1024;
  whence::tracking_allocator<char> allocator_;
  std::vector<char*> blocks_;
};

template <void (*Body)(benchmark::State&)>
void with_live_samples(benchmark::State& state) {
  static std::unique_ptr<live_samples> samples;
  if (state.thread_index() == 0) samples = std::make_unique<live_samples>();
  Body(state);
  if (state.thread_index() == 0) samples.reset();
}

BENCHMARK(pair<plain>)->Name("pair/std")->Threads(1)->Threads(2);
BENCHMARK(pair<tracking>)->Name("pair/whence")->Threads(1)->Threads(2);
BENCHMARK(with_live_samples<pair<tracking>>)
    ->Name("pair/whence/live:20000")
    ->Threads(1)
    ->Threads(2);
BENCHMARK(mixed<plain>)->Name("mixed/std")->Threads(1)->Threads(2);
BENCHMARK(mixed<tracking>)->Name("mixed/whence")->Threads(1)->Threads(2);
BENCHMARK(with_live_samples<mixed<tracking>>)
    ->Name("mixed/whence/live:20000")
    ->Threads(1)
    ->Threads(2);

}  // namespace

BENCHMARK_MAIN();
