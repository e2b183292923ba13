// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include <atomic>
#include <cstdint>
#include <thread>
#include <vector>

#include <whence/sys/atomic_word.hpp>

using namespace whence;

TEST_CASE("our memory orders have std::memory_order's numbers") {
  CHECK(static_cast<int>(sys::relaxed) == static_cast<int>(std::memory_order_relaxed));
  CHECK(static_cast<int>(sys::acquire) == static_cast<int>(std::memory_order_acquire));
  CHECK(static_cast<int>(sys::release) == static_cast<int>(std::memory_order_release));
  CHECK(static_cast<int>(sys::acq_rel) == static_cast<int>(std::memory_order_acq_rel));
  CHECK(static_cast<int>(sys::seq_cst) == static_cast<int>(std::memory_order_seq_cst));
}

TEST_CASE("a word behaves like std::atomic") {
  sys::atomic_word<std::uint32_t> ours{12};
  std::atomic<std::uint32_t> stds{12};
  CHECK(ours.exchange(20) == stds.exchange(20));
  CHECK(ours.fetch_add(5, sys::relaxed) == stds.fetch_add(5));
  CHECK(ours.fetch_sub(1, std::memory_order_release) == stds.fetch_sub(1));
  CHECK(ours.fetch_or(0x40) == stds.fetch_or(0x40));
  CHECK(ours.fetch_and(~8U) == stds.fetch_and(~8U));
  std::uint32_t a = 1, b = 1;
  CHECK(ours.compare_exchange_strong(a, 7) == stds.compare_exchange_strong(b, 7));
  CHECK(a == b);
  CHECK(ours.compare_exchange_strong(a, 7) == stds.compare_exchange_strong(b, 7));
  CHECK(ours.load() == stds.load());
  ours.store(3, sys::release);
  CHECK(ours.load(sys::acquire) == 3);
  sys::atomic_word<int*> pointer{nullptr};
  int it = 0;
  CHECK(pointer.exchange(&it) == nullptr);
  CHECK(pointer.load() == &it);
}

// Without atomic additions, four threads lose some of 400 000 in practically every run.
TEST_CASE("no addition of several threads is lost") {
  sys::atomic_word<std::int64_t> sum{0};
  std::vector<std::jthread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&sum] {
      for (int i = 0; i < 100'000; ++i) {
        sum.fetch_add(2, sys::relaxed);
        std::int64_t seen = sum.load(sys::relaxed);
        while (!sum.compare_exchange_weak(seen, seen - 1, sys::relaxed)) {
        }
      }
    });
  }
  threads.clear();
  CHECK(sum.load() == 400'000);
}
