// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include <atomic>
#include <barrier>
#include <cstddef>
#include <thread>
#include <vector>

#include <whence/sys/publish_once.hpp>

using namespace whence;

TEST_CASE(
    "threads that find an object missing at once all get the same, and the others are freed") {
  constexpr int rounds = 500, threads = 4;
  std::atomic<int> living{0};
  for (int round = 0; round < rounds; ++round) {
    std::atomic<int*> place{nullptr};
    std::barrier together(threads);
    std::vector<int*> got(threads);
    std::vector<std::thread> pool;
    for (int*& mine : got) {
      pool.emplace_back([&] {
        together.arrive_and_wait();
        mine = sys::publish_once(
            place,
            [&] {
              ++living;
              return new int(7);
            },
            [&](int* late) {
              --living;
              delete late;
            });
      });
    }
    for (std::thread& t : pool) t.join();
    for (const int* one : got) CHECK(one == place.load());
    delete place.load();
    CHECK(--living == 0);
  }
}

TEST_CASE("an object that came too late costs nothing in the arena") {
  struct item {
    explicit item(int i) noexcept : value(i) {}
    int value;
    char room[300]{};
  };
  sys::memory_budget budget(std::size_t{1} << 20);
  sys::arena arena(budget);
  std::atomic<item*> place{nullptr};
  item first(1);
  // Another thread publishes while this one makes its own.
  item* const late = sys::publish_once(
      place,
      [&] {
        place = &first;
        return static_cast<item*>(arena.allocate(sizeof(item)));
      },
      [&](item* made) { arena.take_back(made, sizeof(item)); });
  CHECK(late == &first);
  CHECK(budget.used() == 0);
  place = nullptr;
  item* const made = sys::publish_once(arena, place, 2);
  REQUIRE(made != nullptr);
  CHECK(made->value == 2);
  CHECK(sys::publish_once(arena, place, 3) == made);
}

TEST_CASE("if an object cannot be made, one that another thread published meanwhile is found") {
  std::atomic<int*> place{nullptr};
  int other = 1;
  const auto never = [](int*) { FAIL("nothing was made"); };
  CHECK(sys::publish_once(
            place, []() -> int* { return nullptr; }, never) == nullptr);
  CHECK(sys::publish_once(
            place,
            [&]() -> int* {
              place = &other;
              return nullptr;
            },
            never) == &other);
}
