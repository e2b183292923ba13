// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include <algorithm>
#include <cstdint>
#include <limits>
#include <vector>

#include <whence/format/mapping_table.hpp>

using whence::format::mapping_table;
using whence::symbols::mapping;

namespace {

// Every address lies in the mapping it is given, and no two mappings overlap.
mapping_table checked(whence::sys::vector<mapping> mapped,
                      const std::vector<std::uintptr_t>& addresses) {
  mapping_table t(std::move(mapped), addresses);
  for (const std::uintptr_t a : addresses) {
    REQUIRE(t.id(a) - 1 < t.mappings().size());
    const mapping& m = t.mappings()[t.id(a) - 1];
    CHECK(m.start <= a);
    CHECK(a < m.limit);
  }
  whence::sys::vector<mapping> sorted = t.mappings();
  std::sort(sorted.begin(), sorted.end(), [](auto& a, auto& b) { return a.start < b.start; });
  for (std::size_t i = 1; i < sorted.size(); ++i) CHECK(sorted[i - 1].limit <= sorted[i].start);
  return t;
}

const whence::sys::vector<mapping> two{{0x7000, 0x9000, 0, "/bin/app", ""},
                                       {0x5000, 0x6000, 0, "/lib/a.so", ""}};

}  // namespace

TEST_CASE("mappings keep their order, so the first stays the program") {
  const mapping_table t = checked(two, {0x5000, 0x5fff, 0x7000, 0x8fff});
  REQUIRE(t.mappings().size() == 2);
  CHECK(t.id(0x7000) == 1);
  CHECK(t.id(0x5fff) == 2);
}

TEST_CASE("addresses of no mapping share one for each gap, which stays within the gap") {
  const std::uintptr_t top = std::numeric_limits<std::uintptr_t>::max() - 1;
  const mapping_table t = checked(two, {0x1000, 0x4fff, 0x6000, 0x6abc, 0x9000, top});
  REQUIRE(t.mappings().size() == 5);
  CHECK(t.mappings()[0].filename == "/bin/app");
  CHECK(t.id(0x1000) == t.id(0x4fff));
  CHECK(t.id(0x6000) == t.id(0x6abc));
  CHECK(t.id(0x9000) == t.id(top));
  CHECK(t.mappings()[t.id(0x6000) - 1].filename == "[unknown]");
}

TEST_CASE(
    "pseudo-frames have a mapping of their own, only where there are any and never the first") {
  const mapping_table t = checked(two, {1, 3, 0x5000});
  REQUIRE(t.mappings().size() == 3);
  CHECK(t.mappings()[2].filename == "[whence]");
  CHECK(t.mappings()[2].start == 1);
  CHECK(t.mappings()[2].limit == 0x1000);
  CHECK(t.id(1) == 3);
}

TEST_CASE("a process whose mappings cannot be read still has one mapping") {
  const mapping_table t = checked({}, {1, 0x1000, 0x55d000000000});
  REQUIRE(t.mappings().size() == 2);
  CHECK(t.mappings()[0].filename == "[unknown]");
  CHECK(checked({}, {}).mappings().size() == 1);
}
