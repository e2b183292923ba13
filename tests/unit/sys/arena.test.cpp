// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
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

TEST_CASE("an arena gives everything back at once, and can be used again") {
  sys::memory_budget budget(std::size_t{1} << 30);
  sys::arena arena(budget);
  for (int round = 0; round < 3; ++round) {
    for (int i = 0; i < 1000; ++i) {
      auto* const block = static_cast<char*>(arena.allocate(i % 100 == 0 ? 300'000 : 5'000));
      REQUIRE(block != nullptr);
      CHECK(reinterpret_cast<std::uintptr_t>(block) % sys::cache_line == 0);
      CHECK(*block == 0);
      *block = 1;
    }
    arena.release();
    budget.give_all_back();
    CHECK(budget.used() == 0);
  }
}

TEST_CASE("what is refused to one is not refused to others who ask for less, in all races") {
  sys::memory_budget budget(std::size_t{100} << 20);
  REQUIRE(budget.take(std::size_t{80} << 20));
  std::atomic<bool> done{false};
  std::thread large([&] {
    while (!done) CHECK_FALSE(budget.take(std::size_t{50} << 20));
  });
  int refused = 0;
  for (int i = 0; i < 1'000'000; ++i) {
    if (budget.take(448)) {
      budget.give_back(448);
    } else {
      ++refused;
    }
  }
  done = true;
  large.join();
  CHECK(refused == 0);
  CHECK(budget.used() == std::size_t{80} << 20);
}

TEST_CASE("a budget within another is refused what either lacks") {
  sys::memory_budget whole(1000);
  sys::memory_budget part(600, &whole);
  CHECK_FALSE(part.take(601));
  CHECK(part.take(500));
  CHECK(whole.used() == 500);
  CHECK(whole.take(450));
  CHECK_FALSE(part.take(100));
  CHECK(part.used() == 500);
  part.give_all_back();
  CHECK(part.used() == 0);
  CHECK(whole.used() == 450);
}

TEST_CASE("the last block can be taken back, and is zero when it is given out again") {
  sys::memory_budget budget(std::size_t{1} << 30);
  sys::arena arena(budget);
  REQUIRE(arena.allocate(64) != nullptr);
  const std::size_t before = budget.used();
  for (const std::size_t bytes : {std::size_t{100}, std::size_t{1} << 19}) {
    auto* const p = static_cast<char*>(arena.allocate(bytes));
    std::memset(p, 0x5a, bytes);
    arena.take_back(p, bytes);
    CHECK(budget.used() == before);
  }
  auto* const again = static_cast<char*>(arena.allocate(128));
  CHECK(std::all_of(again, again + 128, [](char c) { return c == 0; }));
}

TEST_CASE("a block that another one follows stays where it is") {
  sys::memory_budget budget(std::size_t{1} << 30);
  sys::arena arena(budget);
  for (const std::size_t bytes : {std::size_t{100}, std::size_t{1} << 19}) {
    void* const p = arena.allocate(bytes);
    auto* const next = static_cast<char*>(arena.allocate(bytes));
    std::memset(next, 0x5a, bytes);
    const std::size_t before = budget.used();
    arena.take_back(p, bytes);
    CHECK(budget.used() == before);
    CHECK(std::all_of(next, next + bytes, [](char c) { return c == 0x5a; }));
  }
}

TEST_CASE("an arena with a chunk of its owner's takes the first blocks from it") {
  sys::memory_budget budget(std::size_t{1} << 30);
  const auto first = std::make_unique<sys::arena::first_chunk>();
  sys::arena arena(budget, *first);
  const auto is_in_first = [&first](const void* block) {
    const auto* const at = static_cast<const unsigned char*>(block);
    return at >= first->blocks && at < first->blocks + sys::arena::first_bytes;
  };
  void* const last = arena.allocate(64);
  CHECK(is_in_first(last));
  arena.take_back(last, 64);
  constexpr std::size_t half = sys::arena::first_bytes / 2;
  std::memset(arena.allocate(half), 0x5a, half);
  CHECK(is_in_first(arena.allocate(sys::arena::first_bytes - sys::arena::round_up(half))));
  auto* const next = static_cast<char*>(arena.allocate(half));
  REQUIRE(next != nullptr);
  CHECK_FALSE(is_in_first(next));
  CHECK(*next == 0);
  arena.release();
  budget.give_all_back();
  CHECK_FALSE(is_in_first(arena.allocate(64)));
  arena.release();
}
