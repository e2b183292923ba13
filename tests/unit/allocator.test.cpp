// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <list>
#include <map>
#include <memory>
#include <memory_resource>
#include <new>
#include <string>
#include <thread>
#include <type_traits>
#include <unordered_map>
#include <utility>
#include <vector>

#include "support/heap_probe.hpp"
#include "support/pool_allocator.hpp"
#include "support/sanitizers.hpp"
#include <whence/allocator.hpp>
#include <whence/knobs.hpp>
#include <whence/memory_resource.hpp>
#include <whence/profile.hpp>
#include <whence/state/attach.hpp>
#include <whence/state/process_state.hpp>

using namespace whence;
using whence_tests::heap_rate;
using whence_tests::pool;
using whence_tests::pool_allocator;
using whence_tests::totals;
using whence_tests::totals_of;

namespace {

// Each test records into profiles of its own, so that tests do not see each other's memory.
template <fixed_string Name>
using registry = prefixed_registry<Name>;

// Keeps an optimizer from removing an allocation whose result is unused.
void use(const void* p) {
  asm volatile("" : : "r"(p) : "memory");
}

// The same, but may_overallocate is only true for pool_allocator itself.
template <class T>
struct exact_allocator : pool_allocator<T> {
  using pool_allocator<T>::pool_allocator;
  template <class U>
  struct rebind {
    using other = exact_allocator<U>;
  };
  template <class U>
  exact_allocator(const exact_allocator<U>& other) : pool_allocator<T>(other) {}
};

}  // namespace

static_assert(std::is_same_v<tracking_allocator<int, null_registry>, std::allocator<int>>);
static_assert(sizeof(tracking_allocator<int>) == sizeof(std::allocator<int>));
static_assert(std::allocator_traits<tracking_allocator<int>>::is_always_equal::value);
static_assert(std::is_same_v<std::allocator_traits<tracking_allocator<int>>::rebind_alloc<char>,
                             tracking_allocator<char>>);
static_assert(
    !std::allocator_traits<
        tracking_allocator<int, default_registry, pool_allocator<int>>>::is_always_equal::value);
static_assert(std::allocator_traits<tracking_allocator<
                  int, default_registry, pool_allocator<int>>>::propagate_on_container_swap::value);

namespace {
constexpr int sum_in_constant_evaluation() {
  std::vector<int, tracking_allocator<int>>::allocator_type a;
  int* const p = a.allocate(3);
  for (int i = 0; i < 3; ++i) std::construct_at(p + i, i);
  const int sum = p[0] + p[1] + p[2];
  a.deallocate(p, 3);
  return sum;
}
}  // namespace
static_assert(sum_in_constant_evaluation() == 3);

TEST_CASE("at rate 1 every allocation is counted exactly, with its size") {
  using own = registry<"allocator.exact">;
  const heap_rate every(1);
  tracking_allocator<std::uint64_t, own> a;
  std::uint64_t* const p = a.allocate(3);
  std::uint64_t* const q = a.allocate(5);
  CHECK(totals_of(own::heap()) == totals{2, 64, 2, 64});
  a.deallocate(p, 3);
  CHECK(totals_of(own::heap()) == totals{2, 64, 1, 40});
  a.deallocate(q, 5);
  CHECK(totals_of(own::heap()) == totals{2, 64, 0, 0});
}

TEST_CASE("allocs has the rows of heap, under its own name and kind") {
  using own = registry<"allocator.twins">;
  const heap_rate every(1);
  std::vector<int, tracking_allocator<int, own>> v(10);
  const profile* const allocs = lookup("allocator.twins.allocs");
  REQUIRE(allocs != nullptr);
  CHECK(totals_of(*allocs) == totals_of(*lookup("allocator.twins.heap")));
  CHECK(totals_of(*allocs).live_bytes == 40);
  CHECK(allocs->kind() == instruments::kind::allocs);
}

TEST_CASE("a zero-size allocation is no event, even at rate 1") {
  using own = registry<"allocator.zero">;
  const heap_rate every(1);
  tracking_allocator<int, own> a;
  int* const p = a.allocate(0);
  a.deallocate(p, 0);
  CHECK(totals_of(own::heap()) == totals{});
}

TEST_CASE("an allocation of any size that upstream refuses is not recorded") {
  using own = registry<"allocator.refused">;
  for (const std::int64_t rate : {std::int64_t{1}, std::int64_t{64 * 1024}}) {
    const heap_rate r(rate);
    tracking_allocator<char, own> a;
    CHECK_THROWS_AS(use(a.allocate(std::numeric_limits<std::size_t>::max())), std::bad_alloc);
    if (!sanitized) {
      CHECK_THROWS_AS(use(a.allocate(std::size_t{1} << 62)), std::bad_alloc);
      CHECK_THROWS_AS(use(a.allocate(static_cast<std::size_t>(PTRDIFF_MAX))), std::bad_alloc);
    }
    pool broken{.fails = true};
    tracking_allocator<int, own, pool_allocator<int>> b{pool_allocator<int>(broken)};
    for (int i = 0; i < 100; ++i) CHECK_THROWS_AS((void)b.allocate(100'000), std::bad_alloc);
  }
  CHECK(totals_of(own::heap()) == totals{});
}

TEST_CASE("rate 0 records nothing, and each change of rate takes effect at once in every thread") {
  using own = registry<"allocator.rates">;
  tracking_allocator<char, own> a;
  std::atomic<int> step{0};
  // This thread has drawn its countdown at the default rate long before the rate changes.
  std::thread other([&] {
    a.deallocate(a.allocate(1), 1);
    step = 1;
    while (step != 2) std::this_thread::yield();
    a.deallocate(a.allocate(8), 8);
    step = 3;
    while (step != 4) std::this_thread::yield();
    a.deallocate(a.allocate(8), 8);
  });
  while (step != 1) std::this_thread::yield();
  const heap_rate every(1);
  step = 2;
  while (step != 3) std::this_thread::yield();
  const std::int64_t seen = totals_of(own::heap()).bytes;
  CHECK(set_heap_profile_rate(0) == 1);
  step = 4;
  other.join();
  CHECK(seen == 8);
  CHECK(totals_of(own::heap()).bytes == 8);
  CHECK(set_heap_profile_rate(-5) == 0);
  CHECK(set_heap_profile_rate(1) == 0);
}

TEST_CASE("samples keep their rate: a block sampled at one rate is freed at another") {
  using own = registry<"allocator.kept">;
  tracking_allocator<char, own> a;
  char* exact = nullptr;
  {
    const heap_rate every(1);
    exact = a.allocate(1000);
  }
  CHECK(totals_of(own::heap()) == totals{1, 1000, 1, 1000});
  std::vector<char*> sampled;
  {
    const heap_rate dense(64 * 1024);
    for (int i = 0; i < 20; ++i) sampled.push_back(a.allocate(std::size_t{8} << 20));
  }
  a.deallocate(exact, 1000);
  for (char* p : sampled) a.deallocate(p, std::size_t{8} << 20);
  const totals t = totals_of(own::heap());
  CHECK(t == totals{21, 1000 + 20 * (std::int64_t{8} << 20), 0, 0});
}

TEST_CASE("upstream gets back exactly the blocks it gave, tagged or not") {
  using own = registry<"allocator.returned">;
  for (const std::int64_t rate : {std::int64_t{1}, std::int64_t{4096}, std::int64_t{64 * 1024}}) {
    const heap_rate r(rate);
    pool p;
    {
      tracking_allocator<std::uint64_t, own, pool_allocator<std::uint64_t>> a{
          pool_allocator<std::uint64_t>(p)};
      std::vector<std::pair<std::uint64_t*, std::size_t>> blocks;
      for (std::size_t i = 1; i < 3000; ++i) {
        const std::size_t n = 1 + i * 37 % 4000;
        blocks.emplace_back(a.allocate(n), n);
        blocks.back().first[0] = i;
        blocks.back().first[n - 1] = i;
      }
      for (std::size_t i = 0; i < blocks.size(); ++i) {
        REQUIRE(blocks[i].first[blocks[i].second - 1] == i + 1);
        a.deallocate(blocks[i].first, blocks[i].second);
      }
    }
    CHECK(p.live_blocks == 0);
    CHECK(p.live_bytes == 0);
  }
  const totals t = totals_of(own::heap());
  CHECK(t.objects > 2999);
  CHECK(t.live_objects == 0);
  CHECK(t.live_bytes == 0);
}

TEST_CASE("an exact upstream is asked for exact sizes, and its frees are seen") {
  using own = registry<"allocator.exact_upstream">;
  const heap_rate dense(64 * 1024);
  pool p;
  tracking_allocator<char, own, exact_allocator<char>> a{exact_allocator<char>(p)};
  constexpr std::size_t size = std::size_t{4} << 20;  // not sampled once in e^64
  std::vector<char*> blocks;
  for (int i = 0; i < 200; ++i) {
    blocks.push_back(a.allocate(size));
    REQUIRE(p.live_bytes == blocks.size() * size);
  }
  CHECK(totals_of(own::heap()).live_objects == 200);
  for (char* block : blocks) a.deallocate(block, size);
  CHECK(totals_of(own::heap()) == totals{200, 200 * std::int64_t{size}, 0, 0});
}

TEST_CASE("memory that upstream takes back without a deallocation ends when it is reused") {
  using own = registry<"allocator.monotonic">;
  const heap_rate every(1);
  alignas(64) static std::byte buffer[4096];
  std::pmr::monotonic_buffer_resource arena(buffer, sizeof buffer,
                                            std::pmr::null_memory_resource());
  tracking_allocator<char, own, std::pmr::polymorphic_allocator<char>> a{
      std::pmr::polymorphic_allocator<char>(&arena)};
  for (int round = 0; round < 10; ++round) {
    CHECK(a.allocate(100) == reinterpret_cast<char*>(buffer));
    arena.release();
  }
  CHECK(totals_of(own::heap()) == totals{10, 1000, 1, 100});
}

TEST_CASE("a block of a released arena is not taken for a later block") {
  using own = registry<"allocator.released">;
  struct alignas(4096) page {
    char bytes[4096];
  };
  const heap_rate dense(64 * 1024);
  for (int round = 0; round < 50; ++round) {
    {
      std::pmr::monotonic_buffer_resource arena;
      basic_tracking_resource<own> tracked_arena(&arena);
      for (int i = 0; i < 20; ++i) (void)tracked_arena.allocate(100'000, 8);  // never deallocated
    }
    std::vector<page, tracking_allocator<page, own>> pages(20);
    use(pages.data());
  }
}

TEST_CASE("a request that cannot succeed does not change the sampling of others") {
  if (sanitized) return;
  using own = registry<"allocator.impossible">;
  const heap_rate off(0);
  tracking_allocator<char, own> a;
  basic_tracking_resource<own> r;
  for (int i = 0; i < 10; ++i) {
    CHECK_THROWS_AS(use(a.allocate(std::size_t{1} << 62)), std::bad_alloc);
    CHECK_THROWS_AS(use(r.allocate((std::size_t{1} << 63) + (std::size_t{1} << 41))),
                    std::bad_alloc);
  }
  const heap_rate every(1);
  a.deallocate(a.allocate(10), 10);
  r.deallocate(r.allocate(20), 20);
  CHECK(totals_of(own::heap()).bytes == 30);
}

TEST_CASE("allocators of different types compare as after rebinding") {
  const tracking_allocator<int> a;
  const tracking_allocator<long> b;
  CHECK(a == b);
  pool p, q;
  const tracking_allocator<int, default_registry, pool_allocator<int>> c{pool_allocator<int>(p)};
  const tracking_allocator<long, default_registry, pool_allocator<long>> d{pool_allocator<long>(q)};
  CHECK(c != d);
  CHECK(c == c);
}

TEST_CASE("over-aligned types keep their alignment when sampled") {
  using own = registry<"allocator.aligned">;
  struct alignas(256) wide {
    char bytes[256];
  };
  struct alignas(8192) page {
    char bytes[8192];
  };
  const heap_rate dense(64 * 1024);
  tracking_allocator<wide, own> a;
  tracking_allocator<page, own> b;
  for (int i = 0; i < 300; ++i) {
    wide* const p = a.allocate(1000);
    page* const q = b.allocate(100);
    REQUIRE(reinterpret_cast<std::uintptr_t>(p) % 256 == 0);
    REQUIRE(reinterpret_cast<std::uintptr_t>(q) % 8192 == 0);
    a.deallocate(p, 1000);
    b.deallocate(q, 100);
  }
  const totals t = totals_of(own::heap());
  CHECK(t.objects > 0);
  CHECK(t.live_objects == 0);
}

TEST_CASE("containers of every kind free all they allocated") {
  using own = registry<"allocator.containers">;
  const heap_rate every(1);
  {
    std::vector<int, tracking_allocator<int, own>> v;
    for (int i = 0; i < 1000; ++i) v.push_back(i);
    auto copy = v;
    auto moved = std::move(v);
    std::map<int, int, std::less<>, tracking_allocator<std::pair<const int, int>, own>> m;
    std::unordered_map<int, int, std::hash<int>, std::equal_to<>,
                       tracking_allocator<std::pair<const int, int>, own>>
        h;
    std::list<int, tracking_allocator<int, own>> l;
    std::basic_string<char, std::char_traits<char>, tracking_allocator<char, own>> s;
    for (int i = 0; i < 500; ++i) {
      m[i] = i;
      h[i] = i;
      l.push_back(i);
      s += "some text";
    }
    auto shared = std::allocate_shared<int>(tracking_allocator<int, own>(), 5);
    m.erase(3);
    l.splice(l.begin(), l, std::next(l.begin(), 10));
    CHECK(totals_of(own::heap()).live_objects > 1500);
  }
  CHECK(totals_of(own::heap()).live_objects == 0);
  CHECK(totals_of(own::heap()).live_bytes == 0);
}

TEST_CASE("past the memory limit [overflow] keeps true amounts, in use included") {
  using own = registry<"allocator.overflow">;
  const heap_rate every(1);
  state::process_state& s = state::attached();
  const std::size_t limit = s.budget.limit();
  tracking_allocator<char, own> a;
  // The live map has some room, and then gets no more memory.
  std::vector<char*> blocks;
  for (int i = 0; i < 3000; ++i) blocks.push_back(a.allocate(16));
  for (char* p : blocks) a.deallocate(p, 16);
  const totals before = totals_of(own::heap());
  set_memory_limit(0);
  char* const p = a.allocate(1000);
  char* const q = a.allocate(24);
  set_memory_limit(limit);
  const totals during = totals_of(own::heap());
  CHECK(during.objects - before.objects == 2);
  CHECK(during.bytes - before.bytes == 1024);
  CHECK(during.live_bytes == 1024);
  a.deallocate(p, 1000);
  CHECK(totals_of(own::heap()).live_bytes == 24);
  a.deallocate(q, 24);
  CHECK(totals_of(own::heap()).live_bytes == 0);
}
