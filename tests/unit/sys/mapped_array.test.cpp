// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include <cstdint>
#include <new>
#include <utility>

#include <whence/sys/algorithms.hpp>
#include <whence/sys/mapped_array.hpp>

using namespace whence;

TEST_CASE("a mapped array grows, moves and sorts like a vector") {
  sys::mapped_array<std::uint32_t> items;
  CHECK(items.empty());
  for (std::uint32_t i = 0; i < 100'000; ++i) items.push_back(i * 7919 % 100'003);
  REQUIRE(items.size() == 100'000);
  CHECK(items[99'999] == 99'999ULL * 7919 % 100'003);
  items.push_back(items[5]);  // its own element while it may move
  CHECK(items.back() == items[5]);

  sys::sort(items, [](std::uint32_t a, std::uint32_t b) { return a < b; });
  bool sorted = true;
  for (std::size_t i = 1; i < items.size(); ++i) sorted &= items[i - 1] <= items[i];
  CHECK(sorted);

  sys::mapped_array<std::uint32_t> other(std::move(items));
  CHECK(other.size() == 100'001);
  other.release();
  CHECK(other.empty());
  other.resize(1000);
  CHECK(other[999] == 0);
}

TEST_CASE("a mapped array that cannot grow refuses and keeps all items") {
  sys::mapped_array<std::uint64_t> items;
  items.push_back(42);
  CHECK_THROWS_AS(items.reserve(static_cast<std::size_t>(-1) / 4), std::bad_alloc);
  CHECK_THROWS_AS(items.reserve(std::size_t{1} << 50), std::bad_alloc);
  CHECK(items[0] == 42);
}
