// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include <cstdint>
#include <set>
#include <vector>

#include "support/heap_probe.hpp"
#include <whence/allocator.hpp>
#include <whence/knobs.hpp>
#include <whence/profile.hpp>
#include <whence/snapshots/rows.hpp>

using namespace whence;
using whence_tests::heap_rate;

namespace {

template <fixed_string Name>
using char_allocator = tracking_allocator<char, prefixed_registry<Name>>;

}  // namespace

TEST_CASE("buckets of one stack sampled at two rates make one row, each scaled by its own rate") {
  using own = prefixed_registry<"rows.rates">;
  char_allocator<"rows.rates"> a;
  // One call site. Blocks of 8 MiB are not sampled at these rates once in e^128.
  constexpr std::size_t size = std::size_t{8} << 20;
  std::vector<char*> blocks;
  for (const std::int64_t rate : {std::int64_t{1}, std::int64_t{64 * 1024}, std::int64_t{1}}) {
    set_heap_profile_rate(rate);
    blocks.push_back(a.allocate(size));
  }
  set_heap_profile_rate(instruments::info(instruments::setting::heap_rate).at_start);
  const auto rows = own::heap().snapshot().rows;
  REQUIRE(rows.size() == 1);
  CHECK(rows[0].values[0] == 3);
  CHECK(rows[0].values[3] == 3 * static_cast<std::int64_t>(size));
  CHECK(rows[0].raw[0] == 3);
  for (char* p : blocks) a.deallocate(p, size);
}

TEST_CASE("blocks of different sizes at one stack are rows of their own, told apart by the label") {
  using own = prefixed_registry<"rows.sizes">;
  const heap_rate every(1);
  char_allocator<"rows.sizes"> a;
  volatile std::size_t sizes = 5;
  for (std::size_t i = 1; i <= sizes; ++i) a.deallocate(a.allocate(100 * i), 100 * i);
  std::set<std::int64_t> seen;
  for (const profile_row& row : own::heap().snapshot().rows) {
    seen.insert(row.number);
    CHECK(row.values == std::array<std::int64_t, 4>{1, row.number, 0, 0});
  }
  CHECK(seen == std::set<std::int64_t>{100, 200, 300, 400, 500});
}

TEST_CASE("a row of zeros is left out") {
  profile& p = new_profile("rows.zeros");
  p.add(1);
  p.remove(1);
  CHECK(p.rows().size.load() == 1);
  int rows = 0;
  snapshots::for_each_row(state::attached(), p, [&rows](const profile_row&) { ++rows; });
  CHECK(rows == 0);
}
