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
#include <utility>
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
  const snapshots::snapshot_rows rows(s);
  format::stack_groups groups(rows, 0, {});
  REQUIRE(groups.size() == expected.size());
  std::vector<std::pair<std::uint32_t, std::int64_t>> by_sum;
  auto at = groups.begin();
  for (const auto& [key, sum] : expected) {
    CHECK(key_of(s.rows[at->row]) == key);
    CHECK(at->sum() == sum);
    by_sum.emplace_back(at->row, sum);
    ++at;
  }
  std::stable_sort(by_sum.begin(), by_sum.end(),
                   [](const auto& a, const auto& b) { return a.second > b.second; });
  groups.sort_by_sum();
  REQUIRE(groups.size() == by_sum.size());
  at = groups.begin();
  for (const auto& [row, sum] : by_sum) {
    CHECK(at->row == row);
    CHECK(at->sum() == sum);
    ++at;
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
