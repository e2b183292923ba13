// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include <string>
#include <vector>

#include <whence/tables/label_merges.hpp>

using namespace whence;
using instruments::label;
using tables::label_sets;

namespace {

struct workplace {
  sys::memory_budget budget{std::size_t{256} << 20};
  sys::arena arena{budget};
  tables::losses lost;
  label_sets sets{arena, lost};
  tables::label_merges merges{arena, sets, lost};

  std::uint32_t intern(const std::vector<label>& labels) {
    return sets.intern({labels.data(), labels.size()});
  }
};

}  // namespace

TEST_CASE("the upper set wins for common keys, and an empty set over a set is that set") {
  workplace w;
  const std::uint32_t below = w.intern({{"a", "1"}, {"c", "3"}, {"e", "5"}});
  const std::uint32_t above = w.intern({{"b", "2"}, {"c", "x"}, {"f", "6"}});
  const std::uint32_t both = w.intern({{"a", "1"}, {"b", "2"}, {"c", "x"}, {"e", "5"}, {"f", "6"}});
  for (int i = 0; i < 3; ++i) CHECK(w.merges.over(below, above) == both);
  CHECK(w.merges.over(below, label_sets::none) == below);
  CHECK(w.merges.over(label_sets::none, above) == above);
  CHECK(w.merges.over(below, below) == below);
  CHECK(w.sets.of(w.merges.over(above, below))[2].value == "3");
}

TEST_CASE("pairs that share a word of the cache do not take each other's result") {
  workplace w;
  std::vector<std::uint32_t> ids;
  // 6400 pairs for 4096 words; a key may be in no more than 7679 unions.
  for (int i = 0; i < 160; ++i) {
    const std::string value = std::to_string(i);
    ids.push_back(w.intern({{i % 2 == 0 ? "even" : "odd", value}}));
  }
  for (int round = 0; round < 2; ++round) {
    for (std::size_t i = 0; i < ids.size(); i += 2) {
      for (std::size_t k = 1; k < ids.size(); k += 2) {
        const instruments::label_list both = w.sets.of(w.merges.over(ids[i], ids[k]));
        REQUIRE(both.size() == 2);
        REQUIRE(both[0].value == std::to_string(i));
        REQUIRE(both[1].value == std::to_string(k));
      }
    }
  }
}

TEST_CASE("without memory for the cache, unions are made each time") {
  workplace w;
  const std::uint32_t below = w.intern({{"a", "1"}});
  const std::uint32_t above = w.intern({{"b", "2"}});
  const std::uint32_t both = w.intern({{"a", "1"}, {"b", "2"}});
  w.budget.set_limit(0);
  CHECK(w.merges.over(below, above) == both);
  CHECK(w.merges.over(below, above) == both);
  // A merge that is not cached finds no room.
  CHECK(w.merges.over(above, w.intern({{"a", "1"}})) == both);
  CHECK(w.merges.over(both, above) == both);
  CHECK_FALSE(w.lost.any());
}
