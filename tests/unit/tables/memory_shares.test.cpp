// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include <cstddef>
#include <initializer_list>
#include <string>
#include <thread>

#include "support/wait_probe.hpp"
#include <whence/knobs.hpp>
#include <whence/labels.hpp>
#include <whence/mutex.hpp>
#include <whence/profile.hpp>
#include <whence/snapshots/profile_header.hpp>
#include <whence/tables/memory_shares.hpp>

using namespace whence;

TEST_CASE("shares add up to the limit, and one that is full leaves the others as they are") {
  for (const std::size_t limit :
       {std::size_t{0}, std::size_t{1}, std::size_t{1'000'003}, std::size_t{256} << 20}) {
    tables::memory_shares all(256);
    all.set_limit(limit);
    CHECK(all.limit() == limit);
    CHECK(tables::memory_shares(limit).limit() == limit);
  }
  tables::memory_shares all(std::size_t{16} << 20);
  sys::memory_budget* const shares[]{&all.stacks, &all.cpu_samples, &all.wall_samples, &all.live,
                                     &all.labels};
  for (sys::memory_budget* const full : shares) {
    const std::size_t taken = full->left();
    REQUIRE(full->take(taken));
    CHECK_FALSE(full->take(1));
    for (sys::memory_budget* const other : shares) {
      if (other == full) continue;
      REQUIRE(other->take(1000));
      other->give_back(1000);
    }
    full->give_back(taken);
  }
  CHECK(all.used() == 0);
}

TEST_CASE("the amounts of all shares are told") {
  tables::memory_shares all(16000);
  all.stacks.take_always(1);
  all.cpu_samples.take_always(20);
  all.wall_samples.take_always(50'000);
  all.live.take_always(300);
  all.labels.take_always(4000);
  CHECK(snapshots::memory_in_use(all) ==
        "tables use 54321 of 16000 bytes: stacks 1 of 4000, CPU samples 20 of 3000, "
        "wall-clock samples 50000 of 3000, live entries 300 of "
        "5000, labels 4000 of 1000");
}

TEST_CASE("what readers keep has a limit of its own, which follows the setting") {
  tables::memory_shares all(std::size_t{256} << 20);
  CHECK(all.snapshots.limit() == std::size_t{128} << 20);
  CHECK(all.names_limit() == std::size_t{64} << 20);
  CHECK(all.limit() == std::size_t{256} << 20);
  all.set_limit(std::size_t{1} << 30);
  CHECK(all.snapshots.limit() == std::size_t{512} << 20);
  CHECK(all.names_limit() == std::size_t{256} << 20);
  all.set_limit(0);
  CHECK(all.snapshots.limit() == std::size_t{1} << 20);
  CHECK(all.names_limit() == std::size_t{1} << 20);
}

TEST_CASE("a lock that is named while there is no room for labels has its name") {
  const std::size_t limit = state::attached().budget.limit();
  { const scoped_labels scope("memory_shares", "before"); }
  set_memory_limit(0);
  tracked_mutex<> late{"memory_shares.late"};
  const labels refused("memory_shares", "while there is no room");
  set_memory_limit(limit);
  const auto name_of = [](tracked_mutex<>& m) {
    const whence_tests::wait_rates every(1);
    m.lock();
    std::thread waiter([&m] {
      m.lock();
      m.unlock();
    });
    whence_tests::sleep_ms(20);
    m.unlock();
    waiter.join();
    for (const profile_row& row : lookup("block")->snapshot().rows) {
      for (const label& l : row.labels) {
        if (l.key == "lock" && l.value == "memory_shares.late") return true;
      }
    }
    return false;
  };
  CHECK(name_of(late));
  // What was refused then is not refused now.
  CHECK(labels("memory_shares", "while there is no room")["memory_shares"] ==
        "while there is no room");
}
