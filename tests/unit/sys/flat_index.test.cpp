// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include <cstdint>
#include <random>
#include <unordered_map>
#include <vector>

#include <whence/sys/flat_index.hpp>
#include <whence/sys/mix64.hpp>

using namespace whence;

TEST_CASE("items are found as by std::unordered_map, also with equal hashes") {
  sys::flat_index index;
  std::vector<std::uint64_t> items;
  std::unordered_map<std::uint64_t, std::uint32_t> oracle;
  std::mt19937_64 random(5);
  for (int i = 0; i < 200'000; ++i) {
    const std::uint64_t item = random() % 50'000;
    const std::uint64_t hash = sys::mix64(item / 4);  // four items a hash
    const auto same = [&](std::uint32_t at) { return items[at] == item; };
    const auto known = oracle.find(item);
    const std::uint32_t at = index.find(hash, same);
    REQUIRE(at == (known == oracle.end() ? sys::flat_index::none : known->second));
    if (at != sys::flat_index::none) continue;
    oracle[item] = static_cast<std::uint32_t>(items.size());
    index.insert(hash, static_cast<std::uint32_t>(items.size()));
    items.push_back(item);
  }
  CHECK(items.size() > 40'000);
}
