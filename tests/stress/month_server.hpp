// SPDX-License-Identifier: Apache-2.0
//
// What the server of month.cpp does: requests with a number each as a label, threads that live for
// a millisecond, libraries that come and go, and stacks that are fed to the samplers.
#ifndef WHENCE_TESTS_STRESS_MONTH_SERVER_HPP
#define WHENCE_TESTS_STRESS_MONTH_SERVER_HPP

#include <dlfcn.h>

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include <whence/allocator.hpp>
#include <whence/core/counters.hpp>
#include <whence/labels.hpp>
#include <whence/mutex.hpp>
#include <whence/state/process_state.hpp>
#include <whence/state/thread_labels.hpp>
#include <whence/tables/bucket.hpp>
#include <whence/tables/sample_epochs.hpp>

namespace month {

using namespace std::chrono_literals;

inline std::atomic<bool> stop{false};
inline std::atomic<long> requests{0}, threads{0}, plugins{0};

// 2^60 different stacks.
template <int N>
[[gnu::noinline]] void descend(std::uint64_t path, int depth, long work) {
  if (depth == 0) {
    for (volatile long i = 0; i < work;) i = i + 1;
    return;
  }
  if (path % 2 != 0) {
    descend<(N * 2 + 1) % 64>(path / 2, depth - 1, work);
  } else {
    descend<(N * 2 + 7) % 64>(path / 2, depth - 1, work);
  }
  asm volatile("");  // not a tail call
}

// One of two that answer a thousand requests a second together, and share a lock.
inline void serve(unsigned seed) {
  static whence::tracked_mutex<> shared{"shared by requests"};
  std::mt19937_64 random(seed);
  for (auto next = std::chrono::steady_clock::now(); !stop; next += 2ms) {
    const whence::scoped_labels scope{{"request", ++requests}, {"tenant", random() % 50}};
    std::vector<int, whence::tracking_allocator<int>> answer(1000 + random() % 1000);
    descend<0>(random(), 60, 20'000);
    {
      const std::lock_guard hold(shared);
      descend<1>(random() % 8, 10, 2'000);
    }
    std::this_thread::sleep_until(next);
  }
}

inline void start_threads() {
  while (!stop) {
    std::thread([] {
      const whence::scoped_labels scope("request", ++requests);
      std::this_thread::sleep_for(1ms);
    }).join();
    ++threads;
    std::this_thread::sleep_for(5ms);
  }
}

// Libraries that replace each other in memory, with other frames at equal addresses.
inline void load_plugins(const std::vector<std::string>& paths) {
  using chain = int (*)(void (*)(void*), void*);
  for (std::size_t i = 0; !stop && !paths.empty(); ++i) {
    void* const library = ::dlopen(paths[i % paths.size()].c_str(), RTLD_NOW | RTLD_LOCAL);
    if (library == nullptr) {
      std::fprintf(stderr, "FAILED: %s\n", ::dlerror());
      std::abort();
    }
    const auto outer = reinterpret_cast<chain>(::dlsym(library, "plugin_outer"));
    const auto inside = [](void*) {
      std::vector<int, whence::tracking_allocator<int>> some(1000);
      descend<2>(some.size(), 3, 1'000'000);
    };
    (void)outer(inside, nullptr);
    ::dlclose(library);
    ++plugins;
    std::this_thread::sleep_for(20ms);
  }
}

// Stacks of 30 frames, of which 9 in 10 are new, and the label of a request: what a handler does
// once it has walked a stack. The kernel gives at most some 250 signals for each second of a
// processor's time, and a thousand by its counters: a month of them would take a month.
class feeder {
 public:
  explicit feeder(whence::tables::sample_epochs& to) : to_(to) {}

  void feed(long count) {
    whence::state::process_state& s = whence::state::attached();
    for (long i = 0; i < count; ++i, ++fed_) {
      const whence::scoped_labels scope("request", ++requests);
      const bool is_new = fed_ % 10 != 0;
      std::mt19937_64 path(is_new ? static_cast<std::uint64_t>(fed_) + 1000
                                  : static_cast<std::uint64_t>(fed_) / 10 % 100);
      std::uintptr_t pcs[30];
      for (std::uintptr_t& pc : pcs) pc = places()[path() % 64];
      const whence::tables::key k{
          {pcs, std::size(pcs), false, true}, 0, 0, whence::state::labels_of_this_thread(s)};
      const whence::tables::sample_epochs::entry epoch(to_);
      whence::tables::bucket* const b = epoch.record(k);
      if (b == nullptr) continue;
      b->add(whence::core::sample_counter, 1);
      b->add(whence::core::time_counter, 1'000'000);
    }
  }
  long fed() const { return fed_; }

 private:
  // Addresses in the functions above.
  static const std::uintptr_t* places() {
    static const std::vector<std::uintptr_t> all = []<std::size_t... N>(std::index_sequence<N...>) {
      return std::vector{reinterpret_cast<std::uintptr_t>(&descend<static_cast<int>(N)>) + 9 ...};
    }
    (std::make_index_sequence<64>());
    return all.data();
  }

  whence::tables::sample_epochs& to_;
  std::atomic<long> fed_{0};
};

}  // namespace month

#endif  // WHENCE_TESTS_STRESS_MONTH_SERVER_HPP
