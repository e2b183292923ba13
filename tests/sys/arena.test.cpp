// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include <cstdint>
#include <cstring>
#include <set>
#include <thread>
#include <vector>

#include <whence/sys/arena.hpp>

using namespace whence;

TEST_CASE("blocks are zero, start a cache line and do not overlap, from several threads") {
  sys::memory_budget budget(std::size_t{1} << 30);
  sys::arena arena(budget);
  std::vector<std::vector<char*>> blocks(4);
  std::vector<std::thread> pool;
  for (auto& mine : blocks) {
    pool.emplace_back([&arena, &mine] {
      for (std::size_t i = 0; i < 20'000; ++i) {
        auto* const p = static_cast<char*>(arena.allocate(1 + i % 300));
        if (p == nullptr || reinterpret_cast<std::uintptr_t>(p) % sys::cache_line != 0) return;
        for (std::size_t b = 0; b < 1 + i % 300; ++b) {
          if (p[b] != 0) return;  // another thread's, or not zero
        }
        std::memset(p, 0x5a, 1 + i % 300);
        mine.push_back(p);
      }
    });
  }
  for (auto& thread : pool) thread.join();
  std::set<char*> all;
  for (const auto& mine : blocks) {
    CHECK(mine.size() == 20'000);
    all.insert(mine.begin(), mine.end());
  }
  CHECK(all.size() == 80'000);
}

TEST_CASE("the budget is never exceeded, and a refused block costs nothing") {
  sys::memory_budget budget(10'000);
  sys::arena arena(budget);
  std::size_t got = 0;
  while (arena.allocate(100) != nullptr) ++got;
  CHECK(got == 10'000 / 128);
  CHECK(budget.used() == got * 128);
  CHECK(arena.allocate(100) == nullptr);
  CHECK(budget.used() == got * 128);
  CHECK(arena.allocate_always(100) != nullptr);
  CHECK(budget.used() == (got + 1) * 128);
}

TEST_CASE("a block larger than a chunk is one mapping") {
  sys::memory_budget budget(std::size_t{1} << 30);
  sys::arena arena(budget);
  constexpr std::size_t size = std::size_t{5} << 20;
  auto* const p = static_cast<char*>(arena.allocate(size));
  REQUIRE(p != nullptr);
  std::memset(p, 1, size);
  CHECK(p[size - 1] == 1);
}
