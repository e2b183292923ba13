// SPDX-License-Identifier: Apache-2.0
//
// Compares the heap profile with the allocations that a program has counted itself.
//
// How many blocks are needed: a block of S bytes is sampled with p = 1 - exp(-S/R), so if n blocks
// of each of k sizes were made, the profile deviates by
//
//   sd(objects) / objects = sqrt(sum (1 - p) / p) / (k sqrt(n))
//   sd(bytes) / bytes     = sqrt(sum S^2 (1 - p) / p) / (sqrt(n) sum S)
//
// Half of the blocks are freed, so what is in use has the smaller n. At R = 16384:
//
//   site     sizes                       n in use   sd objects   sd bytes   10 % is
//   small    512                          80 000       1.98 %     1.98 %     5.0 sd
//   middle   768 ... 12288 (six)           2 000       2.37 %     1.38 %     4.2 sd
//   large    18432                         2 000       1.55 %     1.55 %     6.4 sd
//
// The odds of missing by chance, both load tests together: 2 x 2.7e-5 + 2 x 5e-7, once in 18 000.
#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <list>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <unordered_map>
#include <utility>
#include <vector>

#include <whence/whence.hpp>

// A site is a function in a section of its own, whose bounds the linker names: rows are found by
// address, without symbols.
#define SITE(name)                             \
  extern "C" const char __start_site_##name[]; \
  extern "C" const char __stop_site_##name[];  \
  const site name##_site {                     \
    __start_site_##name, __stop_site_##name    \
  }
#define IN_SITE(name) gnu::noinline, gnu::section("site_" #name)

namespace {

struct site {
  const char* begin;
  const char* end;
};
SITE(small);
SITE(middle);
SITE(large);
SITE(containers);

struct amount {
  std::int64_t alloc_objects = 0, alloc_bytes = 0, inuse_objects = 0, inuse_bytes = 0;
  amount operator-(const amount& b) const {
    return {alloc_objects - b.alloc_objects, alloc_bytes - b.alloc_bytes,
            inuse_objects - b.inuse_objects, inuse_bytes - b.inuse_bytes};
  }
};

amount profiled(const site& at) {
  const auto begin = reinterpret_cast<std::uintptr_t>(at.begin);
  const auto end = reinterpret_cast<std::uintptr_t>(at.end);
  amount total;
  for (const whence::profile_row& row : whence::lookup("heap")->snapshot().rows) {
    bool here = false;
    for (const std::uintptr_t pc : row.stack) here = here || (pc > begin && pc <= end);
    if (!here) continue;
    total.alloc_objects += row.values[0];
    total.alloc_bytes += row.values[1];
    total.inuse_objects += row.values[2];
    total.inuse_bytes += row.values[3];
  }
  return total;
}

class heap_rate {
 public:
  explicit heap_rate(std::int64_t rate) : before_(whence::set_heap_profile_rate(rate)) {}
  heap_rate(const heap_rate&) = delete;
  heap_rate& operator=(const heap_rate&) = delete;
  ~heap_rate() { whence::set_heap_profile_rate(before_); }

 private:
  std::int64_t before_;
};

using allocator = whence::tracking_allocator<std::byte>;
struct block {
  std::byte* it;
  std::size_t size;
};
using blocks = std::vector<block>;

[[IN_SITE(small)]] void make_small(std::size_t size, blocks& made) {
  made.push_back({allocator().allocate(size), size});
}
[[IN_SITE(middle)]] void make_middle(std::size_t size, blocks& made) {
  made.push_back({allocator().allocate(size), size});
}
[[IN_SITE(large)]] void make_large(std::size_t size, blocks& made) {
  made.push_back({allocator().allocate(size), size});
}

struct load {
  const site& at;
  void (*make)(std::size_t, blocks&);
  std::vector<std::size_t> sizes;
  std::size_t made_of_each;
};

const std::array<load, 3>& loads() {
  static const std::array<load, 3> all{
      load{small_site, make_small, {512}, 160'000},
      load{middle_site, make_middle, {768, 1536, 3072, 6144, 9000, 12288}, 4'000},
      load{large_site, make_large, {18432}, 4'000}};
  return all;
}

// One thread's share, sizes and sites mixed; every second block is freed at once.
void run_share(std::size_t threads, blocks& kept) {
  std::size_t most = 0;
  for (const load& l : loads()) most = std::max(most, l.made_of_each / threads);
  for (std::size_t i = 0; i < most; ++i) {
    for (const load& l : loads()) {
      const std::size_t share = l.made_of_each / threads;
      if (i >= share) continue;
      for (const std::size_t size : l.sizes) {
        l.make(size, kept);
        if (i % 2 == 1) {
          allocator().deallocate(kept.back().it, size);
          kept.pop_back();
        }
      }
    }
  }
}

void check_within_a_tenth(const char* what, std::int64_t said, std::int64_t truth) {
  CAPTURE(what);
  CAPTURE(said);
  CAPTURE(truth);
  CHECK(std::abs(said - truth) * 10 <= truth);
}

void check_load(std::size_t threads) {
  const heap_rate rate(16384);
  std::array<amount, 3> before;
  for (std::size_t i = 0; i < 3; ++i) before[i] = profiled(loads()[i].at);

  std::vector<blocks> kept(threads);
  std::vector<std::thread> running;
  for (blocks& of_one : kept) running.emplace_back([&] { run_share(threads, of_one); });
  for (std::thread& t : running) t.join();

  for (std::size_t i = 0; i < 3; ++i) {
    const load& l = loads()[i];
    const auto each = static_cast<std::int64_t>(l.made_of_each);
    std::int64_t bytes = 0;
    for (const std::size_t size : l.sizes) bytes += static_cast<std::int64_t>(size) * each;
    const std::int64_t objects = each * static_cast<std::int64_t>(l.sizes.size());
    const amount said = profiled(l.at) - before[i];
    CAPTURE(i);
    check_within_a_tenth("alloc_objects", said.alloc_objects, objects);
    check_within_a_tenth("alloc_space", said.alloc_bytes, bytes);
    check_within_a_tenth("inuse_objects", said.inuse_objects, objects / 2);
    check_within_a_tenth("inuse_space", said.inuse_bytes, bytes / 2);
  }

  // The blocks are freed here, after the allocating threads have ended: not one byte may be left.
  for (const blocks& of_one : kept) {
    for (const block& b : of_one) allocator().deallocate(b.it, b.size);
  }
  for (std::size_t i = 0; i < 3; ++i) {
    const amount said = profiled(loads()[i].at) - before[i];
    CHECK(said.inuse_objects == 0);
    CHECK(said.inuse_bytes == 0);
  }
}

// The truth for the containers below: the requests that reach the allocator under theirs.
std::atomic<std::int64_t> made{0}, made_bytes{0}, live{0}, live_bytes{0};

template <class T>
struct counting : std::allocator<T> {
  template <class U>
  struct rebind {
    using other = counting<U>;
  };
  counting() = default;
  template <class U>
  counting(const counting<U>&) noexcept {}  // NOLINT: as every allocator converts

  T* allocate(std::size_t n) {
    T* const p = std::allocator<T>::allocate(n);
    const auto bytes = static_cast<std::int64_t>(n * sizeof(T));
    ++made;
    ++live;
    made_bytes += bytes;
    live_bytes += bytes;
    return p;
  }
  void deallocate(T* p, std::size_t n) {
    --live;
    live_bytes -= static_cast<std::int64_t>(n * sizeof(T));
    std::allocator<T>::deallocate(p, n);
  }
};

amount truth() {
  return {made.load(), made_bytes.load(), live.load(), live_bytes.load()};
}

template <class T>
using tracking = whence::tracking_allocator<T, whence::default_registry, counting<T>>;
using text = std::basic_string<char, std::char_traits<char>, tracking<char>>;
using pair_allocator = tracking<std::pair<const int, text>>;

void check_exact(const amount& a, const amount& b) {
  CHECK(a.alloc_objects == b.alloc_objects);
  CHECK(a.alloc_bytes == b.alloc_bytes);
  CHECK(a.inuse_objects == b.inuse_objects);
  CHECK(a.inuse_bytes == b.inuse_bytes);
}

struct everything {
  std::vector<text, tracking<text>> vector;
  std::list<int, tracking<int>> list;
  std::deque<int, tracking<int>> deque;
  std::map<int, text, std::less<>, pair_allocator> map;
  std::unordered_map<int, text, std::hash<int>, std::equal_to<>, pair_allocator> hashed;
};

// Even an empty deque allocates, so containers also begin in the site.
[[IN_SITE(containers)]] std::unique_ptr<everything> begin_empty() {
  auto e = std::make_unique<everything>();
  return e;
}

[[IN_SITE(containers)]] void fill(everything& e, int n) {
  for (int i = 0; i < n; ++i) {
    const text word(static_cast<std::size_t>(10 + i % 90), 'x');
    e.vector.push_back(word);
    e.list.push_back(i);
    e.deque.push_front(i);
    e.map.emplace(i, word);
    e.hashed[i] = word;
  }
}

[[IN_SITE(containers)]] void rearrange(everything& e) {
  everything copy = e;
  everything moved = std::move(copy);
  everything other;
  fill(other, 100);
  std::swap(e, other);
  e = std::move(moved);
  other = e;
  e.list.splice(e.list.begin(), other.list);
  e.map.merge(other.map);
  e.vector.erase(e.vector.begin(), e.vector.begin() + 50);
  e.vector.shrink_to_fit();
  e.hashed.rehash(4096);
  e.deque.resize(10);
}

}  // namespace

TEST_SUITE("heavy") {
  TEST_CASE(
      "a heap profile of a mixed load is within a tenth of the truth at every site, one thread") {
    check_load(1);
  }

  TEST_CASE(
      "a heap profile of a mixed load is within a tenth of the truth at every site, 4 threads") {
    check_load(4);
  }
}

TEST_CASE("at rate 1 a heap profile is exact through copies, rebinding, moves, swaps and frees") {
  const heap_rate rate(1);
  const amount before = profiled(containers_site) - truth();
  {
    const auto e = begin_empty();
    fill(*e, 500);
    check_exact(profiled(containers_site) - truth(), before);
    rearrange(*e);
    CHECK(truth().inuse_objects > 0);
    check_exact(profiled(containers_site) - truth(), before);
  }
  CHECK(truth().inuse_objects == 0);
  check_exact(profiled(containers_site) - truth(), before);
}

TEST_CASE(
    "at rate 1 memory freed on another thread, its allocating thread ended, is counted freed") {
  const heap_rate rate(1);
  const amount before = profiled(containers_site) - truth();
  auto e = begin_empty();
  std::thread([&] { fill(*e, 300); }).join();
  CHECK(truth().inuse_objects > 0);
  check_exact(profiled(containers_site) - truth(), before);
  std::thread([&] { e.reset(); }).join();
  CHECK(truth().inuse_objects == 0);
  check_exact(profiled(containers_site) - truth(), before);
}

#undef SITE
#undef IN_SITE
