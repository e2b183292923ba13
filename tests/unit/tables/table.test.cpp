// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <set>
#include <thread>
#include <vector>

#include <whence/tables/table.hpp>

namespace {

using namespace whence;

// A table with its own memory: these tests do not touch the process's table.
struct own_table {
  explicit own_table(std::size_t limit = std::size_t{1} << 30) : budget(limit) {}
  sys::memory_budget budget;
  sys::arena arena{budget};
  tables::losses losses;
  tables::table table{arena, losses};
  tables::bucket_list list{7};

  tables::bucket* record(const std::vector<std::uintptr_t>& pcs, tables::key k = {}) {
    k.stack.pcs = pcs.data();
    k.stack.depth = pcs.size();
    return table.record(list, k);
  }
};

std::vector<std::uintptr_t> made_up_stack(std::uintptr_t n, std::size_t depth = 20) {
  std::vector<std::uintptr_t> pcs(depth);
  for (std::size_t i = 0; i < depth; ++i) pcs[i] = 0x400000 + 64 * i;
  pcs.front() += n;
  return pcs;
}

std::size_t buckets_in(const tables::bucket_list& list) {
  std::size_t n = 0;
  list.for_each([&n](const tables::bucket&) { ++n; });
  return n;
}

}  // namespace

TEST_CASE("a stack has one bucket, and every part of the key tells two apart") {
  own_table t;
  const auto pcs = made_up_stack(1);
  tables::bucket* const b = t.record(pcs);
  REQUIRE(b != nullptr);
  CHECK(t.record(pcs) == b);
  CHECK(std::equal(pcs.begin(), pcs.end(), b->pcs()));
  CHECK(b->depth() == pcs.size());

  std::set<tables::bucket*> distinct{b};
  distinct.insert(t.record(made_up_stack(2)));
  distinct.insert(t.record(made_up_stack(1, 19)));
  distinct.insert(t.record({}));
  distinct.insert(t.record(pcs, {{}, 64, 0, 0}));
  distinct.insert(t.record(pcs, {{}, 0, 64, 0}));
  distinct.insert(t.record(pcs, {{}, 0, 0, 64}));
  distinct.insert(t.record(pcs, {{nullptr, 0, true, false}, 0, 0, 0}));
  distinct.insert(t.record(pcs, {{nullptr, 0, false, true}, 0, 0, 0}));
  tables::bucket_list other{8};
  const tables::key k{{pcs.data(), pcs.size()}};
  distinct.insert(t.table.record(other, k));
  CHECK(distinct.size() == 10);
  CHECK(distinct.count(nullptr) == 0);
  CHECK(buckets_in(t.list) == 9);
  CHECK(buckets_in(other) == 1);
}

TEST_CASE("a stack that differs in the order of its frames is another stack") {
  own_table t;
  CHECK(t.record({1000, 2000, 3000}) != t.record({3000, 2000, 1000}));
  CHECK(t.record({1000, 2000, 1000}) != t.record({1000, 1000, 2000}));
}

TEST_CASE("buckets stay where they are while the table grows to 300 000 stacks") {
  own_table t;
  constexpr std::uintptr_t n = 300'000;
  std::vector<tables::bucket*> first;
  for (std::uintptr_t i = 0; i < n; ++i) {
    tables::bucket* const b = t.record(made_up_stack(i, 4));
    REQUIRE(b != nullptr);
    b->add(0, 1);
    first.push_back(b);
  }
  for (std::uintptr_t i = 0; i < n; ++i) {
    if (t.record(made_up_stack(i, 4)) != first[i]) FAIL("stack ", i, " moved");
  }
  CHECK(std::set<tables::bucket*>(first.begin(), first.end()).size() == n);
  CHECK(buckets_in(t.list) == n);
  CHECK(t.losses.of(tables::loss::overflow) == 0);
}

// Every thread records every stack, in its own order, while the table grows. In every interleaving,
// a stack has one bucket, and its counter has one unit from each thread.
TEST_CASE("threads that race to insert the same stacks share one bucket a stack") {
  own_table t;
  constexpr std::uintptr_t n = 40'000;
  constexpr int threads = 4;
  std::atomic<int> ready{0};
  std::vector<std::thread> pool;
  for (int id = 0; id < threads; ++id) {
    pool.emplace_back([&, id] {
      ready.fetch_add(1);
      while (ready.load() < threads) std::this_thread::yield();
      const std::uintptr_t step = std::uintptr_t{7919} + 2 * static_cast<std::uintptr_t>(id);
      for (std::uintptr_t i = 0; i < n; ++i) {
        t.record(made_up_stack(id < 2 ? i : i * step % n, 6))->add(0, 1);
      }
    });
  }
  for (auto& thread : pool) thread.join();
  std::set<std::uintptr_t> leaves;
  std::int64_t total = 0;
  t.list.for_each([&](const tables::bucket& b) {
    leaves.insert(b.pcs()[0]);
    total += b.counters[0].load();
  });
  CHECK(leaves.size() == n);
  CHECK(buckets_in(t.list) == n);
  CHECK(total == threads * static_cast<std::int64_t>(n));
}

TEST_CASE("past the memory limit events go to one counted [overflow] bucket a rate") {
  own_table t(200'000);
  std::set<tables::bucket*> overflow;
  std::size_t stored = 0;
  for (std::uintptr_t i = 0; i < 5000; ++i) {
    tables::bucket* const b = t.record(made_up_stack(i), {{}, 0, 1 + static_cast<int>(i % 2), 0});
    REQUIRE(b != nullptr);
    if (b->overflow()) {
      overflow.insert(b);
    } else {
      ++stored;
    }
  }
  CHECK(overflow.size() == 2);
  CHECK(stored > 300);
  CHECK(t.losses.of(tables::loss::overflow) == static_cast<std::int64_t>(5000 - stored));
  CHECK(t.budget.used() <= 200'000 + 2 * 128);
  CHECK((*overflow.begin())->pcs()[0] == tables::pseudo::overflow);
  CHECK(buckets_in(t.list) == stored + 2);
  CHECK_FALSE(t.record(made_up_stack(0), {{}, 0, 1, 0})->overflow());  // known stacks stay known
}

TEST_CASE("threads that meet at the memory limit share one [overflow] bucket a rate") {
  own_table t(0);
  std::atomic<int> ready{0};
  std::vector<std::thread> pool;
  for (int id = 0; id < 4; ++id) {
    pool.emplace_back([&] {
      ready.fetch_add(1);
      while (ready.load() < 4) std::this_thread::yield();
      for (int rate = 1; rate <= 200; ++rate) t.record({1, 2}, {{}, 0, rate, 0});
    });
  }
  for (auto& thread : pool) thread.join();
  CHECK(buckets_in(t.list) == 200);
}

TEST_CASE("with no memory at all every event is charged to [overflow]") {
  own_table t(0);
  tables::bucket* const b = t.record(made_up_stack(1));
  REQUIRE(b != nullptr);
  CHECK(b->overflow());
  CHECK(t.record(made_up_stack(2)) == b);
}

TEST_CASE("labels that turn void while a bucket is made are counted as lost") {
  own_table t;
  std::atomic<std::uint64_t> words[2]{}, lap{5 << 1};
  tables::key k;
  const tables::label_values values{words, 2, 4711, &lap, 5},
      of_an_earlier_lap{words, 2, 1, &lap, 4};
  k.values = &values;
  CHECK(t.record(made_up_stack(1), k)->values().size == 2);
  CHECK(t.losses.of(tables::loss::passing_labels) == 0);
  k.values = &of_an_earlier_lap;
  CHECK(t.record(made_up_stack(2), k)->values().empty());
  CHECK(t.losses.of(tables::loss::passing_labels) == 1);
}
