// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include <cstdint>
#include <memory>
#include <new>
#include <stdexcept>
#include <type_traits>
#include <vector>

#include "support/heap_probe.hpp"
#include <whence/profile.hpp>
#include <whence/tracking_new.hpp>

namespace {

using whence_tests::heap_rate;
using whence_tests::totals;
using whence_tests::totals_of;
using registry = whence::named_registry<"tracking_new">;

struct node : whence::tracking_new<registry> {
  virtual ~node() = default;
  char bytes[56];
};
struct wide_node : node {
  char more[400];
};
struct alignas(128) aligned_node : whence::tracking_new<registry> {
  char bytes[128];
};
struct unlucky : whence::tracking_new<registry> {
  unlucky() { throw std::runtime_error("no"); }
};
struct untracked : whence::tracking_new<whence::null_registry> {
  int value = 0;
};

// What is in use more than before, while `make`'s result lives; it must be gone after it.
template <class Make>
totals in_use(Make make) {
  const totals before = totals_of(registry::heap());
  totals during;
  {
    [[maybe_unused]] const auto it = make();
    during = totals_of(registry::heap());
  }
  const totals after = totals_of(registry::heap());
  CHECK(after.live_objects == before.live_objects);
  CHECK(after.live_bytes == before.live_bytes);
  return {0, 0, during.live_objects - before.live_objects, during.live_bytes - before.live_bytes};
}

constexpr std::int64_t bytes_of(std::size_t n) {
  return static_cast<std::int64_t>(n);
}

}  // namespace

TEST_CASE("an object made by new is in use in its registry's profile until it is deleted") {
  const heap_rate all(1);
  CHECK(in_use([] { return std::make_unique<node>(); }) == totals{0, 0, 1, bytes_of(sizeof(node))});
  // Deleted through its base, which has no sized form.
  CHECK(in_use([] { return std::unique_ptr<node>(new wide_node); }) ==
        totals{0, 0, 1, bytes_of(sizeof(wide_node))});
  CHECK(in_use([] { return std::make_unique<aligned_node[]>(3); }) ==
        totals{0, 0, 1, bytes_of(3 * sizeof(aligned_node))});
  CHECK(in_use([] { return std::unique_ptr<aligned_node>(new (std::nothrow) aligned_node); }) ==
        totals{0, 0, 1, bytes_of(sizeof(aligned_node))});
}

TEST_CASE("an object whose constructor throws is not in use, by any form of new") {
  const heap_rate all(1);
  const totals none{0, 0, 0, 0};
  CHECK(in_use([] {
          CHECK_THROWS_AS(new unlucky, std::runtime_error);
          CHECK_THROWS_AS(new (std::nothrow) unlucky, std::runtime_error);
          return 0;
        }) == none);
}

TEST_CASE("placement new allocates nothing") {
  const heap_rate all(1);
  alignas(node) unsigned char place[sizeof(node)];
  CHECK(in_use([&place] {
          node* const it = new (static_cast<void*>(place)) node;
          it->~node();
          return 0;
        }).live_objects == 0);
}

TEST_CASE("sampled objects keep their alignment and contents, and all end") {
  const heap_rate sparse(64 * 1024);
  in_use([] {
    std::vector<std::unique_ptr<aligned_node>> nodes;
    for (int i = 0; i < 5000; ++i) {
      nodes.push_back(std::make_unique<aligned_node>());
      CHECK(reinterpret_cast<std::uintptr_t>(nodes.back().get()) % alignof(aligned_node) == 0);
    }
    return nodes;
  });
}

TEST_CASE("tracking_new takes no room, and with null_registry records nothing") {
  struct plain {
    int value;
  };
  static_assert(std::is_empty_v<whence::tracking_new<>>);
  static_assert(sizeof(untracked) == sizeof(plain));
  const heap_rate all(1);
  CHECK(in_use([] { return std::make_unique<untracked>(); }).live_objects == 0);
}
