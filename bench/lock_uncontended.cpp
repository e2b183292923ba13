// SPDX-License-Identifier: Apache-2.0
//
// An uncontended lock and unlock, at the start values of all rates: first while the process has one
// thread, when glibc skips the atomic instructions, then with two threads. The floor is a flag
// taken by one atomic exchange. bench/peers/mutex.go is the same in Go.
#include <benchmark/benchmark.h>

#include <atomic>
#include <chrono>
#include <mutex>
#include <shared_mutex>
#include <stop_token>
#include <thread>

#include "lock_peers.hpp"
#include <whence/mutex.hpp>
#include <whence/profile.hpp>  // what reads: without it nothing is recorded

namespace {

struct flag {
  void lock() {
    while (held.exchange(true, std::memory_order_acquire)) {
    }
  }
  void unlock() { held.store(false, std::memory_order_release); }
  std::atomic<bool> held{false};
};

// A shared lock as its readers see it.
template <class M>
struct reader {
  void lock() { m.lock_shared(); }
  void unlock() { m.unlock_shared(); }
  M m;
};

// The first call gives the process its second thread. Benchmarks run in the order of their
// registration, those of one thread first.
void need_threads() {
  static std::jthread other([](std::stop_token stop) {
    while (!stop.stop_requested()) std::this_thread::sleep_for(std::chrono::milliseconds(50));
  });
}

template <class M>
void pair(benchmark::State& state) {
  alignas(64) static M m;
  if (state.range(0) > 1) need_threads();
  for (auto _ : state) {
    m.lock();
    benchmark::ClobberMemory();
    m.unlock();
    benchmark::ClobberMemory();
  }
}

void add_all(int threads) {
  const auto add = [threads](const char* name, void (*run)(benchmark::State&)) {
    benchmark::RegisterBenchmark(name, run)->ArgName("threads")->Arg(threads);
  };
  add("std::mutex", pair<std::mutex>);
  add("tracked_mutex<std::mutex>", pair<whence::tracked_mutex<>>);
  add("tracked_mutex<std::mutex,null_registry>",
      pair<whence::tracked_mutex<std::mutex, whence::null_registry>>);
  add("whence::mutex", pair<whence::mutex>);
  add("futex_mutex", pair<whence::sys::futex_mutex>);
  add("std::recursive_mutex", pair<std::recursive_mutex>);
  add("tracked_mutex<std::recursive_mutex>", pair<whence::tracked_mutex<std::recursive_mutex>>);
  add("std::shared_mutex", pair<std::shared_mutex>);
  add("tracked_mutex<std::shared_mutex>", pair<whence::tracked_mutex<std::shared_mutex>>);
  add("std::shared_mutex.shared", pair<reader<std::shared_mutex>>);
  add("tracked_mutex<std::shared_mutex>.shared",
      pair<reader<whence::tracked_mutex<std::shared_mutex>>>);
  add("flag", pair<flag>);
#ifdef WHENCE_BENCH_ABSL
  add("absl::Mutex", pair<absl_mutex>);
#endif
}

}  // namespace

int main(int argc, char** argv) {
  benchmark::Initialize(&argc, argv);
  add_all(1);
  add_all(2);
  benchmark::RunSpecifiedBenchmarks();
}
