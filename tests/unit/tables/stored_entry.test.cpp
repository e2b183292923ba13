// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include <cstdint>
#include <memory>

#include <whence/sys/pages.hpp>
#include <whence/tables/bucket.hpp>
#include <whence/tables/live_map.hpp>

using namespace whence;

namespace {

using sized_map = tables::live_map<std::uint64_t, tables::sized_entry>;

struct fixture {
  sys::memory_budget budget{1 << 20};
  sized_map::storage shards{};
  sized_map map{shards, budget};
  tables::bucket bucket{};

  fixture() { bucket.list = 3; }
};

}  // namespace

TEST_CASE("a block's sizes stay in its entry until it is erased, and finding it leaves it there") {
  const auto f = std::make_unique<fixture>();
  REQUIRE(f->map.insert(0x1000, {&f->bucket, 100, 104}) == tables::insertion::done);
  CHECK(f->map.insert(0x1000, {&f->bucket, 1, 1}) == tables::insertion::present);
  for (int i = 0; i < 2; ++i) {
    const auto found = f->map.find(0x1000, 3);
    CHECK(found.bucket == &f->bucket);
    CHECK(found.bytes == 100);
    CHECK(found.usable == 104);
  }
  CHECK(f->map.find(0x1000, 4).bucket == nullptr);  // another profile
  CHECK(f->map.find(0x2000, 3).bucket == nullptr);
  CHECK(f->map.erase(0x1000, 3).bytes == 100);
  CHECK(f->map.find(0x1000, 3).bucket == nullptr);
  CHECK(f->map.erase(0x1000, 3).bucket == nullptr);
}

// An end that a program's own handler of fork sees would otherwise wait for the thread itself.
TEST_CASE("the thread that holds all shards for a fork may go on using the map") {
  const auto f = std::make_unique<fixture>();
  REQUIRE(f->map.insert(0x1000, {&f->bucket, 100, 104}) == tables::insertion::done);
  f->map.lock_all();
  CHECK(f->map.erase(0x1000, 3).bytes == 100);
  CHECK(f->map.insert(0x2000, {&f->bucket, 5, 8}) == tables::insertion::done);
  f->map.unlock_all();
  CHECK(f->map.find(0x2000, 3).bytes == 5);
}
