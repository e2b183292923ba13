// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include <whence/samplers/window.hpp>

using namespace whence;
using samplers::window;

namespace {

struct workplace {
  explicit workplace(std::size_t limit = std::size_t{64} << 20) : share(limit) {}

  sys::memory_budget label_budget{std::size_t{1} << 20};
  sys::arena arena{label_budget};
  tables::losses lost;
  tables::label_sets labels{arena, lost};
  sys::memory_budget share;
  sys::memory_budget snapshots{std::size_t{64} << 20};
  tables::sample_epochs epochs{7, share, lost};

  void count(std::uintptr_t pc, std::int64_t samples, std::int64_t ns) {
    const tables::sample_epochs::entry epoch(epochs);
    tables::bucket* const b = epoch.record({{&pc, 1, false, true}, 0, 0, 0});
    REQUIRE(b != nullptr);
    b->add(core::sample_counter, samples);
    b->add(core::time_counter, ns);
  }
  profile_snapshot rows_of(const window& w) {
    profile_snapshot p;
    w.add_to(p, instruments::kind::cpu, labels, snapshots);
    return p;
  }
  std::map<std::uintptr_t, std::int64_t> since(const window& w) {
    std::map<std::uintptr_t, std::int64_t> all;
    for (const profile_row& row : rows_of(w).rows) {
      CHECK(all.emplace(row.stack[0], row.values[1]).second);
      CHECK(row.leaf_is_ip == (row.stack[0] >= 0x1000));
      CHECK(row.raw == row.values);
    }
    return all;
  }
};

using rows = std::map<std::uintptr_t, std::int64_t>;

}  // namespace

TEST_CASE("a window has what was counted since its beginning, at old stacks and new ones") {
  workplace w;
  const window first(w.epochs);
  CHECK(w.since(first).empty());
  w.count(0x1000, 1, 10);
  w.count(0x2000, 1, 20);
  const window second(w.epochs);
  CHECK(w.since(second).empty());
  w.count(0x2000, 2, 5);
  w.count(0x3000, 1, 7);
  CHECK(w.since(first) == rows{{0x1000, 10}, {0x2000, 25}, {0x3000, 7}});
  CHECK(w.since(second) == rows{{0x2000, 5}, {0x3000, 7}});
  const window third(w.epochs);
  CHECK(w.since(third).empty());
  CHECK(w.since(second).size() == 2);
}

TEST_CASE("windows that close take nothing from those that stay, in any order") {
  workplace w;
  std::optional<window> open[4];
  std::map<std::uintptr_t, std::int64_t> expected[4];
  std::uintptr_t pc = 0x1000;
  for (unsigned step = 0; step < 400; ++step) {
    const unsigned i = step * 7 % 11 % 4;
    if (open[i] && step % 3 != 0) {
      open[i].reset();
    } else if (!open[i]) {
      open[i].emplace(w.epochs);
      expected[i].clear();
    }
    for (const std::uintptr_t at : {pc++, std::uintptr_t{0x999000}}) {
      bool any = false;
      for (unsigned k = 0; k < 4; ++k) any = any || open[k];
      if (!any) continue;
      w.count(at, 1, step + 1);
      for (unsigned k = 0; k < 4; ++k) {
        if (open[k]) expected[k][at] += step + 1;
      }
    }
    std::size_t windows = 0;
    for (unsigned k = 0; k < 4; ++k) {
      if (!open[k]) continue;
      ++windows;
      REQUIRE(w.since(*open[k]) == expected[k]);
    }
    REQUIRE(w.epochs.count() <= windows);
  }
}

TEST_CASE("rows outlive their window, and no memory does") {
  workplace w;
  profile_snapshot kept;
  {
    const window one(w.epochs);
    for (std::uintptr_t pc = 0x1000; pc < 0x3000; ++pc) w.count(pc, 1, 1);
    kept = w.rows_of(one);
    CHECK(w.share.used() > 0x2000 * sizeof(tables::bucket));
  }
  CHECK(w.share.used() == 0);
  CHECK(w.epochs.count() == 0);
  REQUIRE(kept.rows.size() == 0x2000);
  std::uintptr_t sum = 0;
  for (const profile_row& row : kept.rows) sum += row.stack[0] - 0x1000;
  CHECK(sum == 0x2000 * 0x1fff / 2);
  // Without a window nothing is counted.
  std::uintptr_t pc = 0x1000;
  const tables::sample_epochs::entry none(w.epochs);
  CHECK(none.number() == 0);
  CHECK(none.record({{&pc, 1, false, true}}) == nullptr);
}

// The stacks of both windows fit into half of the share, which one of them could have had alone.
TEST_CASE("a window that opens for a while costs the one that stays no stack") {
  workplace w(std::size_t{8} << 20);
  const window stays(w.epochs);
  auto fill = [&w, pc = std::uintptr_t{0x1000}](std::size_t bytes) mutable {
    const std::size_t before = w.share.used();
    while (w.share.used() < before + bytes) w.count(pc++, 1, 1);
  };
  fill(std::size_t{2} << 20);
  {
    const window passes(w.epochs);
    fill(std::size_t{1700} << 10);
  }
  const profile_snapshot p = w.rows_of(stays);
  CHECK(w.lost.of(tables::loss::samples) == 0);
  CHECK(p.header.comments.empty());
}

TEST_CASE("a window that is full is told so, and takes no sample from those that open later") {
  workplace w(std::size_t{4} << 20);
  const window whole_life(w.epochs);
  std::uintptr_t pc = 0x1000;
  for (int i = 0; i < 50'000; ++i) w.count(pc++, 1, 1);
  CHECK(w.share.used() <= w.share.limit() / 2 + 4096);
  const std::int64_t lost = w.lost.of(tables::loss::samples);
  CHECK(lost > 30'000);
  profile_snapshot p = w.rows_of(whole_life);
  REQUIRE(p.header.comments.size() == 1);
  CHECK(p.header.comments[0] == std::to_string(lost) +
                                    " samples of this window are on [overflow], because it had "
                                    "filled half of the memory for samples");
  for (int i = 0; i < 100; ++i) {
    rows expected;
    std::optional<window> later(w.epochs);
    for (int k = 0; k < 1000; ++k) {
      w.count(pc, 1, 1);
      expected[pc++] = 1;
    }
    REQUIRE(w.since(*later) == expected);
    CHECK(w.rows_of(*later).header.comments.empty());
    later.reset();
    REQUIRE(w.share.used() <= w.share.limit() / 2 + 4096);
  }
  // The full window has them all the same, by number.
  CHECK(w.lost.of(tables::loss::samples) == lost + 100'000);
  std::int64_t sum = 0;
  for (const auto& row : w.since(whole_life)) sum += row.second;
  CHECK(sum == 150'000);
}

// The second one that stays could fill half of the share when it opened, as could the first.
TEST_CASE("windows that overlap find room, whatever stays open beside them") {
  workplace w(std::size_t{8} << 20);
  std::uintptr_t pc = 0x1000;
  const window stays(w.epochs), stays_too(w.epochs), and_this(w.epochs);
  std::optional<window> open[3];
  rows expected[3];
  for (int i = 0; i < 1000; ++i) {
    const int turn = i % 3;
    if (open[turn]) {
      REQUIRE(w.since(*open[turn]) == expected[turn]);
      open[turn].reset();
    }
    open[turn].emplace(w.epochs);
    expected[turn].clear();
    for (int k = 0; k < 100; ++k, ++pc) {
      w.count(pc, 1, 1);
      for (int n = 0; n < 3; ++n) {
        if (open[n]) expected[n][pc] = 1;
      }
    }
  }
  CHECK(w.lost.of(tables::loss::samples) > 0);  // of those that stay
  CHECK(w.share.used() <= w.share.limit());
}

TEST_CASE("a window alone may fill half of the share, however little was left when it opened") {
  workplace w(std::size_t{4} << 20);
  std::uintptr_t pc = 0x1000;
  std::optional<window> first(w.epochs);
  for (int i = 0; i < 50'000; ++i) w.count(pc++, 1, 1);
  const window second(w.epochs);
  first.reset();
  CHECK(w.share.used() < 64 * 1024);
  const window third(w.epochs);
  rows expected;
  for (int i = 0; i < 10'000; ++i) {
    w.count(pc, 1, 1);
    expected[pc++] = 1;
  }
  CHECK(w.since(second) == expected);
}

TEST_CASE("in a child of fork the epochs are empty, and are as good as new") {
  workplace w;
  window inherited(w.epochs);
  w.count(0x1000, 1, 10);
  w.epochs.after_fork_in_child();
  inherited.abandon();
  CHECK(w.share.used() == 0);
  const window own(w.epochs);
  w.count(0x2000, 1, 20);
  CHECK(w.since(own) == rows{{0x2000, 20}});
}

TEST_CASE("the rows of all windows have a limit, and what is beyond it is on [overflow]") {
  workplace w;
  const window all(w.epochs);
  for (std::uintptr_t pc = 0x1000; pc < 0x1000 + 2000; ++pc) w.count(pc, 1, 10);
  const std::int64_t whole = w.since(all).size() == 2000 ? 20'000 : 0;
  CHECK(w.snapshots.used() == 0);
  profile_snapshot first = w.rows_of(all);
  const std::size_t one = w.snapshots.used();
  CHECK(one > 2000 * sizeof(profile_row));
  CHECK(first.header.comments.empty());
  w.snapshots.set_limit(one + one / 2);
  const auto total = [](const profile_snapshot& p) {
    std::int64_t sum = 0;
    for (const profile_row& row : p.rows) sum += row.values[1];
    return sum;
  };
  {
    const profile_snapshot second = w.rows_of(all);
    CHECK(second.rows.size() > 900);
    CHECK(second.rows.size() < 1100);
    CHECK(total(second) == whole);
    std::size_t overflows = 0;
    for (const profile_row& row : second.rows) {
      overflows += row.stack[0] == tables::pseudo::overflow ? 1 : 0;
    }
    CHECK(overflows == 1);
    REQUIRE(second.header.comments.size() == 1);
    CHECK(second.header.comments[0].find("on [overflow] in this profile") != std::string::npos);
  }
  CHECK(w.snapshots.used() == one);
  first = {};
  CHECK(w.snapshots.used() == 0);
  CHECK(w.rows_of(all).rows.size() == 2000);
}
