// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include <mutex>
#include <string_view>
#include <type_traits>
#include <vector>

#include "support/heap_probe.hpp"
#include <whence/allocator.hpp>
#include <whence/mutex.hpp>
#include <whence/profile.hpp>
#include <whence/registry.hpp>
#include <whence/tracked.hpp>

using namespace whence;
using whence_tests::heap_rate;
using whence_tests::totals_of;

namespace {

using storage = named_registry<"registry.storage">;
using idle = prefixed_registry<"registry.idle">;

// A registry of a user's own.
struct own_registry {
  static constexpr bool enabled = true;
  static profile& heap() { return *lookup("heap"); }
  static profile& block() { return *lookup("block"); }
  static profile& mutex() { return *lookup("mutex"); }
  static profile& threadcreate() { return *lookup("threadcreate"); }
};
struct no_registry {};
struct half_registry {
  static constexpr bool enabled = true;
  static profile& heap();
};

// Code that the program has, and that never runs.
[[gnu::used]] void never_called() {
  tracked_mutex<std::mutex, idle> m;
  m.lock();
  m.unlock();
  const std::vector<int, tracking_allocator<int, idle>> v(100);
}

}  // namespace

static_assert(profile_registry<own_registry>);
static_assert(!profile_registry<no_registry>);
static_assert(!profile_registry<half_registry>);
static_assert(std::is_same_v<tracking_allocator<int, null_registry>, std::allocator<int>>);
static_assert(std::is_empty_v<tracked<basic_custom_profile<"registry.off", false>>>);

TEST_CASE(
    "a named registry has profiles of its own under its prefix, and leaves the others alone") {
  const heap_rate every(1);
  const auto before = totals_of(*lookup("heap"));
  const std::vector<int, tracking_allocator<int, storage>> v(100);
  const profile* const heap = lookup("registry.storage.heap");
  REQUIRE(heap != nullptr);
  CHECK(totals_of(*heap).live_bytes == 400);
  CHECK(totals_of(*lookup("heap")) == before);
  const profile* const allocs = lookup("registry.storage.allocs");
  REQUIRE(allocs != nullptr);
  CHECK(totals_of(*allocs).live_bytes == 400);
  CHECK(heap->description() == lookup("heap")->description());
  CHECK(storage::block().name() == "registry.storage.block");
  CHECK(storage::mutex().name() == "registry.storage.mutex");
  CHECK(storage::threadcreate().name() == "registry.storage.threadcreate");
}

TEST_CASE("a user's registry records into its own profiles") {
  const heap_rate every(1);
  const auto before = totals_of(*lookup("heap"));
  const std::vector<int, tracking_allocator<int, own_registry>> v(100);
  CHECK(totals_of(*lookup("heap")).live_bytes - before.live_bytes == 400);
}

TEST_CASE("a registry whose name is taken by a custom profile records, but it cannot be seen") {
  profile& taken = new_profile("registry.taken.heap");
  using clash = named_registry<"registry.taken">;
  const heap_rate every(1);
  { const std::vector<int, tracking_allocator<int, clash>> v(100); }
  CHECK(lookup("registry.taken.heap") == &taken);
  CHECK(taken.snapshot().rows.empty());
}

TEST_CASE(
    "a disabled custom profile is still there to be written, and a local entry is no warning") {
  using off = basic_custom_profile<"registry.disabled", false>;
  tracked<off> entry;
  CHECK(off::get().count() == 0);
  CHECK(lookup("registry.disabled") == &off::get());
}

TEST_CASE("the profiles of a named registry are there before the code that uses it runs") {
  for (const char* name : {"registry.idle.mutex", "registry.idle.block", "registry.idle.heap",
                           "registry.idle.allocs"}) {
    const std::string_view shown(name);
    CAPTURE(name);
    const profile* const found = lookup(shown);
    REQUIRE(found != nullptr);
    const std::string_view kind = shown.substr(shown.rfind('.') + 1);
    CHECK(found->description() == lookup(kind)->description());
    CHECK(found->count() == 0);
  }
  const heap_rate every(1);
  const std::vector<int, tracking_allocator<int, idle>> v(100);
  CHECK(totals_of(*lookup("registry.idle.allocs")).live_bytes == 400);
}
