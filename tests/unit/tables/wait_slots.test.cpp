// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include <atomic>
#include <cstdint>
#include <thread>

#include <whence/tables/wait_slots.hpp>

using namespace whence;
using tables::wait_slot;

// A wait that ends while a reader looks is not in its bucket until it has been counted; if no
// reader saw it in between, it would be missing from the profile.
TEST_CASE("a wait is seen from its begin until it has been counted" *
          doctest::test_suite("heavy")) {
  wait_slot slot;
  std::atomic<std::uint32_t> begun{0}, counted{0};
  std::atomic<bool> stop{false};
  std::thread waits([&] {
    for (std::uint32_t n = 1; !stop; ++n) {
      slot.begin({.since_ns = n});
      begun = n;
      for (std::uint32_t i = 0; i < n % 64; ++i) (void)begun.load();
      slot.count();
      for (int i = 0; i < 100; ++i) (void)begun.load();
      counted = n;
      slot.end();
    }
  });
  while (begun == 0) std::this_thread::yield();
  int looked = 0, missed = 0, torn = 0;
  while (looked < 50'000 || counted < 50'000) {
    const std::uint32_t n = begun;
    bool was_seen = false;
    const auto see = [&](const wait_slot&, std::uint32_t sequence,
                         const tables::wait_in_progress& w) {
      was_seen = true;
      torn += w.since_ns != std::int64_t{sequence / 4} + 1 ? 1 : 0;
    };
    slot.visit(see);
    if (counted >= n) continue;
    ++looked;
    missed += was_seen ? 0 : 1;
  }
  stop = true;
  waits.join();
  CHECK(missed == 0);
  CHECK(torn == 0);
}
