// SPDX-License-Identifier: Apache-2.0
//
// What a tracked coroutine costs compared with an untracked one: to make and destroy it, to suspend
// and resume it without a wait, and as a wait in `block`; and a look at many suspended ones.
#include <benchmark/benchmark.h>

#include <coroutine>
#include <exception>
#include <vector>

#include <whence/coroutine.hpp>
#include <whence/profile.hpp>

namespace {

template <class Registry>
struct job {
  struct promise_type : whence::basic_tracked_promise<Registry> {
    job get_return_object() { return {std::coroutine_handle<promise_type>::from_promise(*this)}; }
    auto initial_suspend() noexcept { return this->at_start(std::suspend_always{}); }
    std::suspend_always final_suspend() noexcept { return {}; }
    auto yield_value(int) noexcept { return this->idle(std::suspend_always{}); }
    void return_void() noexcept {}
    void unhandled_exception() noexcept { std::terminate(); }
  };
  std::coroutine_handle<promise_type> own;
};

using plain = whence::null_registry;
using tracked = whence::default_registry;

template <class Registry>
[[gnu::noinline]] job<Registry> yields() {
  for (;;) co_yield 1;
}
template <class Registry>
[[gnu::noinline]] job<Registry> waits() {
  for (;;) co_await std::suspend_always{};
}

template <class Registry>
void make(benchmark::State& state) {
  for (auto _ : state) {
    job<Registry> j = waits<Registry>();
    benchmark::DoNotOptimize(j);
    j.own.destroy();
  }
}
BENCHMARK(make<plain>);
BENCHMARK(make<tracked>);

template <class Registry>
void yield(benchmark::State& state) {
  const job<Registry> j = yields<Registry>();
  for (auto _ : state) j.own.resume();
  j.own.destroy();
}
BENCHMARK(yield<plain>);
BENCHMARK(yield<tracked>);

template <class Registry>
void wait(benchmark::State& state) {
  const job<Registry> j = waits<Registry>();
  for (auto _ : state) j.own.resume();
  j.own.destroy();
}
BENCHMARK(wait<plain>);
BENCHMARK(wait<tracked>);

void look(benchmark::State& state) {
  std::vector<job<tracked>> all;
  for (std::int64_t i = 0; i < state.range(0); ++i) {
    all.push_back(waits<tracked>());
    all.back().own.resume();
  }
  const whence::profile& p = *whence::lookup("goroutine");
  for (auto _ : state) benchmark::DoNotOptimize(p.snapshot());
  state.SetItemsProcessed(state.iterations() * state.range(0));
  for (const job<tracked>& j : all) j.own.destroy();
}
BENCHMARK(look)->Arg(1000)->Arg(100'000)->Unit(benchmark::kMillisecond);

}  // namespace

BENCHMARK_MAIN();
