// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include <bit>
#include <cstdint>
#include <random>
#include <set>
#include <utility>

#include <whence/tables/stack_hash.hpp>

namespace {

whence::tables::hash128 hash_of(std::uint64_t a, std::uint64_t b, std::uint64_t c,
                                std::uint64_t d) {
  whence::tables::hasher h;
  h.add(a, b);
  h.add(c, d);
  return h.finish();
}

}  // namespace

TEST_CASE("a million stacks that differ by small steps in two frames never meet in either half") {
  std::set<std::uint64_t> high, low;
  for (std::uint64_t i = 0; i < 1000; ++i) {
    for (std::uint64_t j = 0; j < 1000; ++j) {
      const auto h = hash_of(0x401000 + i, 0x402000, 0x7f0000000000 + 16 * j, 0x403000);
      high.insert(h.high);
      low.insert(h.low);
    }
  }
  // Odds of a chance collision among 10^6 values of 64 bits: 3 in 10^8, for each half.
  CHECK(high.size() == 1'000'000);
  CHECK(low.size() == 1'000'000);
}

// A flipped input bit should flip each of 128 bits with probability 1/2: 64 of them, sd 5.7. Over
// 25 600 flips the mean has sd 0.05; the bounds are 20 sd away for a good hash, and a hash that
// leaves out even 4 bits fails.
TEST_CASE("each bit of each frame flips half the bits of the hash") {
  std::mt19937_64 random(1);
  double flipped = 0;
  int trials = 0;
  for (int t = 0; t < 100; ++t) {
    const std::uint64_t a = random(), b = random();
    const auto base = hash_of(a, b, a, b);
    for (int bit = 0; bit < 64; ++bit) {
      for (const auto& other :
           {hash_of(a ^ (1ULL << bit), b, a, b), hash_of(a, b, a ^ (1ULL << bit), b),
            hash_of(a, b ^ (1ULL << bit), a, b), hash_of(a, b, a, b ^ (1ULL << bit))}) {
        flipped += std::popcount(base.high ^ other.high) + std::popcount(base.low ^ other.low);
        ++trials;
      }
    }
  }
  CHECK(flipped / trials > 63.0);
  CHECK(flipped / trials < 65.0);
}
