// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include <cstdint>
#include <limits>
#include <memory_resource>
#include <new>
#include <string>
#include <vector>

#include "support/heap_probe.hpp"
#include "support/sanitizers.hpp"
#include <whence/memory_resource.hpp>
#include <whence/profile.hpp>

using namespace whence;
using whence_tests::heap_rate;
using whence_tests::totals;
using whence_tests::totals_of;

namespace {

// Checks that every block comes back with the address, size and alignment it was given with.
class strict_resource : public std::pmr::memory_resource {
 public:
  std::size_t live = 0;
  bool mismatch = false;

 private:
  struct block {
    void* p;
    std::size_t bytes, alignment;
    friend bool operator==(const block&, const block&) = default;
  };
  std::vector<block> blocks_;

  void* do_allocate(std::size_t bytes, std::size_t alignment) override {
    void* const p = std::pmr::new_delete_resource()->allocate(bytes, alignment);
    blocks_.push_back({p, bytes, alignment});
    ++live;
    return p;
  }
  void do_deallocate(void* p, std::size_t bytes, std::size_t alignment) override {
    if (std::erase(blocks_, block{p, bytes, alignment}) != 1) mismatch = true;
    --live;
    std::pmr::new_delete_resource()->deallocate(p, bytes, alignment);
  }
  bool do_is_equal(const memory_resource& other) const noexcept override { return this == &other; }
};

}  // namespace

TEST_CASE(
    "pmr containers over a tracking_resource show in the registry's heap, exactly at rate 1") {
  using own = prefixed_registry<"resource.exact">;
  const heap_rate every(1);
  strict_resource upstream;
  basic_tracking_resource<own> tracked_memory(&upstream);
  {
    std::pmr::vector<std::pmr::string> v(&tracked_memory);
    v.reserve(10);
    v.emplace_back("a string that is too long for the small buffer");
    const totals t = totals_of(own::heap());
    CHECK(t.live_objects == 2);
    CHECK(t.live_bytes ==
          static_cast<std::int64_t>(10 * sizeof(std::pmr::string) + v[0].capacity() + 1));
  }
  CHECK(totals_of(own::heap()).live_objects == 0);
  CHECK(upstream.live == 0);
  CHECK_FALSE(upstream.mismatch);
}

TEST_CASE("upstream gets back what it gave, at every alignment and rate") {
  using own = prefixed_registry<"resource.strict">;
  strict_resource upstream;
  basic_tracking_resource<own> tracked_memory(&upstream);
  for (const std::int64_t rate : {std::int64_t{0}, std::int64_t{1}, std::int64_t{64 * 1024}}) {
    const heap_rate r(rate);
    for (std::size_t alignment = 1; alignment <= 16384; alignment *= 2) {
      for (int i = 0; i < 20; ++i) {
        void* const p = tracked_memory.allocate(100'000, alignment);
        REQUIRE(reinterpret_cast<std::uintptr_t>(p) % alignment == 0);
        tracked_memory.deallocate(p, 100'000, alignment);
      }
    }
  }
  CHECK(upstream.live == 0);
  CHECK_FALSE(upstream.mismatch);
  CHECK(totals_of(own::heap()).objects > 300);
  CHECK(totals_of(own::heap()).live_objects == 0);
}

TEST_CASE("allocations that upstream refuses are not recorded") {
  using own = prefixed_registry<"resource.refused">;
  const heap_rate every(1);
  basic_tracking_resource<own> tracked_memory(std::pmr::null_memory_resource());
  CHECK_THROWS_AS((void)tracked_memory.allocate(8), std::bad_alloc);
  basic_tracking_resource<own> over_default;
  if (!sanitized) {
    CHECK_THROWS_AS((void)over_default.allocate(std::numeric_limits<std::size_t>::max() / 2),
                    std::bad_alloc);
  }
  CHECK(totals_of(own::heap()) == totals{});
}

TEST_CASE("with null_registry it forwards") {
  const heap_rate every(1);
  const std::int64_t before = totals_of(*lookup("heap")).objects;
  basic_tracking_resource<null_registry> plain;
  plain.deallocate(plain.allocate(64), 64);
  CHECK(totals_of(*lookup("heap")).objects == before);
  CHECK(plain.upstream_resource() == std::pmr::get_default_resource());
}
