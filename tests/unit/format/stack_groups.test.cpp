// SPDX-License-Identifier: Apache-2.0
//
// Groups and their order, against std::map.
#include <doctest/doctest.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <map>
#include <random>
#include <tuple>
#include <vector>

#include <whence/format/stack_groups.hpp>
#include <whence/snapshots/row_source.hpp>
#include <whence/snapshots/snapshot.hpp>

using namespace whence;

namespace {

using stack = std::vector<std::uintptr_t>;

profile_row row_of(const stack& s, std::int64_t value, bool truncated = false) {
  profile_row row;
  row.stack = s;
  row.values = {value, 0, 0, 0};
  row.truncated = truncated;
  return row;
}

// Compares the groups with those of a map, whose keys are ordered as the groups should be.
void check(const profile_snapshot& s) {
  std::map<std::tuple<stack, bool, std::uintptr_t>, std::int64_t> expected;
  const auto key_of = [](const profile_row& row) {
    return std::tuple(stack(row.stack.begin(), row.stack.end()), row.truncated,
                      reinterpret_cast<std::uintptr_t>(row.labels.begin()));
  };
  for (const profile_row& row : s.rows) expected[key_of(row)] += row.values[0];
  const format::stack_groups groups(snapshots::snapshot_rows(s), 0, {});
  REQUIRE(groups.size() == expected.size());
  std::size_t i = 0;
  for (const auto& [key, sum] : expected) {
    CHECK(key_of(s.rows[groups[i].row]) == key);
    CHECK(groups[i++].sum() == sum);
  }
}

}  // namespace

TEST_CASE("no rows make no groups") {
  check({});
}

TEST_CASE("stacks are ordered by their words, a beginning before the whole") {
  const stack none, a{5}, ab{5, 6}, ac{5, 7}, b{6}, high{0xffffffffffffff00};
  const instruments::label labels[] = {{"k", "v"}, {"k", "w"}};
  profile_snapshot s;
  s.rows = {row_of(high, 1), row_of(ac, 1), row_of(b, -2),      row_of(ab, 1),  row_of(a, 1, true),
            row_of(a, 3),    row_of(a, 4),  row_of(none, 1),    row_of(b, 7),   row_of(ab, 1),
            row_of(a, 1),    row_of(a, 2),  row_of(a, 9, true), row_of(none, 1)};
  s.rows[10].labels = {labels, 1};
  s.rows[11].labels = {labels + 1, 1};
  check(s);
}

TEST_CASE("random stacks of few addresses, sorted, reversed and shuffled") {
  std::mt19937 random(20);
  std::vector<stack> stacks(3000);
  for (stack& one : stacks) {
    one.resize(random() % 12);
    for (std::uintptr_t& pc : one) pc = 1 + random() % 3;
  }
  profile_snapshot s;
  for (const stack& one : stacks) {
    s.rows.push_back(row_of(one, static_cast<std::int64_t>(random() % 100), random() % 8 == 0));
  }
  check(s);
  const auto by_stack = [](const profile_row& x, const profile_row& y) {
    return std::lexicographical_compare(x.stack.begin(), x.stack.end(), y.stack.begin(),
                                        y.stack.end());
  };
  std::sort(s.rows.begin(), s.rows.end(), by_stack);
  check(s);
  std::reverse(s.rows.begin(), s.rows.end());
  check(s);
}
