// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include <algorithm>
#include <cstddef>
#include <random>
#include <utility>
#include <vector>

#include <whence/sys/algorithms.hpp>

using namespace whence;

TEST_CASE("sorting equals std::stable_sort, for every length") {
  std::minstd_rand random(1);
  for (std::size_t size = 0; size < 300; ++size) {
    std::vector<std::pair<int, std::size_t>> items(size);
    for (std::size_t i = 0; i < size; ++i) items[i] = {static_cast<int>(random() % 20), i};
    auto expected = items;
    const auto before = [](const auto& a, const auto& b) { return a.first < b.first; };
    std::stable_sort(expected.begin(), expected.end(), before);
    sys::sort(items, before);
    REQUIRE(items == expected);
  }
}

TEST_CASE("first_after equals std::upper_bound") {
  std::minstd_rand random(2);
  for (std::size_t size = 0; size < 100; ++size) {
    std::vector<unsigned> items(size);
    for (unsigned& i : items) i = static_cast<unsigned>(random() % 50);
    std::sort(items.begin(), items.end());
    for (unsigned wanted = 0; wanted < 52; ++wanted) {
      const auto expected = std::upper_bound(items.begin(), items.end(), wanted) - items.begin();
      CHECK(sys::first_after(items, [wanted](unsigned i) { return wanted < i; }) ==
            static_cast<std::size_t>(expected));
    }
  }
}
