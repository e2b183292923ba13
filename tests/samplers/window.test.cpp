// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include <cstdint>
#include <map>
#include <vector>

#include <whence/samplers/window.hpp>

using namespace whence;

namespace {

struct workplace {
  sys::memory_budget budget{std::size_t{256} << 20};
  sys::arena arena{budget};
  stack::losses lost;
  stack::table table{arena, lost};
  stack::label_sets labels{arena, lost};
  stack::bucket_list list;

  void count(std::uintptr_t pc, std::int64_t samples, std::int64_t ns) {
    stack::bucket* const b = table.record(list, {{&pc, 1, false, true}, 0, 0, 0});
    REQUIRE(b != nullptr);
    b->add(core::sample_counter, samples);
    b->add(core::time_counter, ns);
  }
  std::map<std::uintptr_t, std::int64_t> since(const samplers::window& w) {
    std::map<std::uintptr_t, std::int64_t> all;
    w.for_each_row(core::kind::cpu, labels, [&](const profile_row& row) {
      CHECK(all.emplace(row.stack[0], row.values[1]).second);
      CHECK(row.leaf_is_ip == (row.stack[0] >= 0x1000));
      CHECK(row.raw == row.values);
    });
    return all;
  }
};

}  // namespace

TEST_CASE("a window has what was counted since its beginning, at old stacks and new ones") {
  workplace w;
  using rows = std::map<std::uintptr_t, std::int64_t>;
  const samplers::window first(w.list);
  CHECK(w.since(first).empty());
  w.count(0x1000, 1, 10);
  w.count(0x2000, 1, 20);
  const samplers::window second(w.list);
  CHECK(w.since(second).empty());
  w.count(0x2000, 2, 5);
  w.count(0x3000, 1, 7);
  CHECK(w.since(first) == rows{{0x1000, 10}, {0x2000, 25}, {0x3000, 7}});
  CHECK(w.since(second) == rows{{0x2000, 5}, {0x3000, 7}});
  const samplers::window third(w.list);
  CHECK(w.since(third).empty());
  CHECK(w.since(second).size() == 2);
}

TEST_CASE("events beyond the memory limit are in the window too") {
  workplace w;
  w.count(0x1000, 1, 10);
  w.budget.set_limit(0);
  w.count(0x2000, 1, 20);  // to [overflow]
  const samplers::window window(w.list);
  w.count(0x3000, 1, 30);
  const auto rows = w.since(window);
  REQUIRE(rows.size() == 1);
  CHECK(rows.at(stack::pseudo::overflow) == 30);
}
