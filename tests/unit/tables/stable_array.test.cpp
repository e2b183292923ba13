// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <thread>
#include <vector>

#include <whence/sys/arena.hpp>
#include <whence/tables/stable_array.hpp>

using namespace whence;

namespace {

struct entry {
  std::atomic<int> value{7};
  char rest[36] = {};
};
using entries = tables::stable_array<entry, 3>;

}  // namespace

TEST_CASE("segments double, and their entries stay where they are") {
  sys::memory_budget budget{std::size_t{1} << 20};
  sys::arena memory{budget};
  const auto allocate = [&memory](std::size_t bytes) { return memory.allocate(bytes); };
  entries all;
  CHECK(all.get(0) == nullptr);
  CHECK(all.find([](const entry&) { return true; }) == nullptr);

  entry* const first = all.get_or_make(0, allocate);
  entry* const second = all.get_or_make(1, allocate);
  REQUIRE(first != nullptr);
  REQUIRE(second != nullptr);
  CHECK(all.get_or_make(0, allocate) == first);
  second[127].value = 8;
  CHECK(all.find([](const entry& e) { return e.value == 8; }) == second + 127);
  int count = 0;
  std::int64_t sum = 0;
  all.for_each([&](const entry& e) {
    ++count;
    sum += e.value;
  });
  CHECK(count == 64 + 128);
  CHECK(sum == 7 * (64 + 128) + 1);

  CHECK(all.at(first) == first);
  CHECK(all.at(second + 127) == second + 127);
  CHECK(all.at(reinterpret_cast<const char*>(second) + 1) == nullptr);
  CHECK(all.at(second + 128) == nullptr);
  CHECK(all.at(first - 1) == nullptr);
}

TEST_CASE("without memory no segment is made, and a later attempt may succeed") {
  entries all;
  CHECK(all.get_or_make(0, [](std::size_t) -> void* { return nullptr; }) == nullptr);
  CHECK(all.get(0) == nullptr);
  std::vector<entry> memory(64);
  CHECK(all.get_or_make(0, [&memory](std::size_t bytes) -> void* {
    CHECK(bytes == 64 * sizeof(entry));
    return memory.data();
  }) == memory.data());
}

TEST_CASE("a segment that threads need at once is made once") {
  sys::memory_budget budget{std::size_t{64} << 20};
  sys::arena memory{budget};
  std::atomic<int> made{0};
  for (int round = 0; round < 200; ++round) {
    entries all;
    std::atomic<int> ready{0};
    std::vector<entry*> got(4);
    std::vector<std::thread> threads;
    for (entry*& mine : got) {
      threads.emplace_back([&] {
        ++ready;
        while (ready < 4) std::this_thread::yield();
        mine = all.get_or_make(2, [&](std::size_t bytes) {
          ++made;
          return memory.allocate(bytes);
        });
        ++mine->value;
      });
    }
    for (auto& t : threads) t.join();
    REQUIRE(got == std::vector<entry*>(4, all.get(2)));
    REQUIRE(got[0]->value == 7 + 4);
    REQUIRE(made == round + 1);
  }
}

TEST_CASE("a thread does not wait for ever for one that is not there any more") {
  static entries all;
  std::atomic<bool> is_making{false}, may_go_on{false};
  std::vector<entry> theirs(64), ours(64);
  std::thread other([&] {
    CHECK(all.get_or_make(0, [&](std::size_t) -> void* {
      is_making = true;
      while (!may_go_on) std::this_thread::yield();
      return theirs.data();
    }) == ours.data());
  });
  while (!is_making) std::this_thread::yield();
  CHECK(all.get(0) == nullptr);
  CHECK(all.find([](const entry&) { return true; }) == nullptr);
  CHECK(all.get_or_make(0, [&](std::size_t) -> void* { return ours.data(); }) == ours.data());
  may_go_on = true;
  other.join();
  CHECK(all.get(0) == ours.data());
}
