// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include <cstdint>
#include <random>
#include <unordered_map>

#include <whence/format/address_index.hpp>

TEST_CASE("addresses are numbered from 1 in the order they are first seen, through every growth") {
  whence::format::address_index index;
  std::unordered_map<std::uintptr_t, std::uint32_t> expected;
  std::mt19937_64 random(1);
  std::uint32_t next = 0;
  for (int i = 0; i < 200'000; ++i) {
    // Addresses at regular distances, neighbours, and the whole range; many of them repeated.
    const std::uint64_t r = random();
    const std::uintptr_t address = i % 3 == 0   ? 0x400000 + r % 20'000 * 16
                                   : i % 3 == 1 ? 1 + r % 10'000
                                                : (r | 1) >> (r % 3 * 20);
    const auto [entry, fresh] = expected.try_emplace(address, next + 1);
    if (fresh) ++next;
    REQUIRE(index.id(address) == entry->second);
  }
  REQUIRE(index.addresses().size() == next);
  for (const auto& [address, id] : expected) REQUIRE(index.addresses()[id - 1] == address);
}
