// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include <atomic>
#include <cstdint>
#include <cstdlib>
#include <functional>
#include <random>
#include <thread>
#include <unordered_map>
#include <utility>
#include <vector>

#include <whence/tables/live_map.hpp>

namespace {

using namespace whence;

// It is static, because entries outlive every test, as buckets do in use.
tables::bucket* bucket_of_list(std::uint16_t list) {
  static tables::bucket buckets[3];
  buckets[list].list = list;
  return &buckets[list];
}

template <class Steps = tables::unseen_steps>
struct own_map {
  using map = tables::live_map<std::uint64_t, tables::packed_entry, Steps>;
  explicit own_map(std::size_t limit = std::size_t{1} << 30) : budget(limit) {}
  sys::memory_budget budget;
  typename map::storage shards{};
  map it{shards, budget};
  tables::bucket* bucket = bucket_of_list(1);
};

}  // namespace

// The oracle is std::unordered_map: after any sequence of insertions and erasures both hold the
// same entries, with keys chosen from few so that runs, gaps and wrap-around occur.
TEST_CASE("a million random operations agree with std::unordered_map") {
  own_map<> m;
  std::unordered_map<std::uint64_t, std::uint16_t> oracle;
  std::mt19937_64 random(3);
  for (int i = 0; i < 1'000'000; ++i) {
    const std::uint64_t key = random() % 20'000 * 4096;
    if (random() % 2 == 0) {
      const auto extra = static_cast<std::uint16_t>(random());
      const bool fresh = oracle.emplace(key, extra).second;
      REQUIRE((m.it.insert(key, {m.bucket, extra}) == tables::insertion::done) == fresh);
    } else {
      const auto known = oracle.find(key);
      const own_map<>::map::entry found = m.it.erase(key, 1);
      REQUIRE((found.bucket != nullptr) == (known != oracle.end()));
      if (known == oracle.end()) continue;
      REQUIRE(found.bucket == m.bucket);
      REQUIRE(found.extra == known->second);
      oracle.erase(known);
    }
  }
  for (const auto& [key, extra] : oracle) REQUIRE(m.it.erase(key, 1).extra == extra);
  CHECK(m.it.erase(4096, 1).bucket == nullptr);
}

TEST_CASE("a key may exist once for each profile") {
  own_map<> m;
  tables::bucket* const other = bucket_of_list(2);
  CHECK(m.it.insert(5, {m.bucket, 0}) == tables::insertion::done);
  CHECK(m.it.insert(5, {other, 0}) == tables::insertion::done);
  CHECK(m.it.insert(5, {other, 0}) == tables::insertion::present);
  CHECK(m.it.erase(5, 2).bucket == other);
  CHECK(m.it.erase(5, 2).bucket == nullptr);
  CHECK(m.it.erase(5, 1).bucket == m.bucket);
}

TEST_CASE("a live entry costs at most 48 bytes, and a full map refuses without losing any") {
  own_map<> m;
  for (std::uint64_t i = 1; i <= 1'000'000; ++i) {
    REQUIRE(m.it.insert(i * 16, {m.bucket, 0}) == tables::insertion::done);
  }
  CHECK(m.budget.used() <= 48 * 1'000'000);

  own_map<> small(64 * 4096);
  std::vector<std::uint64_t> held;
  for (std::uint64_t i = 1; i < 100'000; ++i) {
    if (small.it.insert(i, {small.bucket, 0}) == tables::insertion::done) held.push_back(i);
  }
  CHECK(held.size() > 10'000);
  // A quarter stays empty: then a search ends after a few slots, found or not.
  CHECK(held.size() <= 64 * 256 * 3 / 4);
  CHECK(small.budget.used() <= 64 * 4096);
  for (const std::uint64_t key : held) REQUIRE(small.it.erase(key, 1).bucket == small.bucket);
}

TEST_CASE("threads insert and erase each other's entries") {
  own_map<> m;
  constexpr std::uint64_t each = 50'000;
  std::vector<std::thread> pool;
  for (std::uint64_t t = 0; t < 4; ++t) {
    pool.emplace_back([&m, t] {
      for (std::uint64_t i = 0; i < each; ++i) {
        if (m.it.insert(t * each + i + 1, {m.bucket, 1}) != tables::insertion::done) std::abort();
      }
    });
  }
  for (auto& thread : pool) thread.join();
  std::vector<std::uint64_t> found(4);
  pool.clear();
  for (std::uint64_t t = 0; t < 4; ++t) {
    pool.emplace_back([&m, &found, t] {
      for (std::uint64_t i = t; i < 4 * each; i += 4) {
        found[t] += m.it.erase(i + 1, 1).bucket == m.bucket ? 1 : 0;
      }
    });
  }
  for (auto& thread : pool) thread.join();
  for (const std::uint64_t n : found) CHECK(n == each);
}

namespace {

// What the locks' holders have moved.
struct seen_steps {
  static inline std::atomic<std::size_t> most{0}, all{0};
  static void moved(std::size_t slots) noexcept {
    all += slots;
    std::size_t before = most;
    while (slots > before && !most.compare_exchange_weak(before, slots)) {
    }
  }
  static void made(std::size_t) noexcept {}
};

// Runs once, when an array of this size was made and not yet put in: what other threads do while
// the one that made it waits for a processor.
struct while_it_waits {
  static inline std::size_t size = 0;
  static inline std::function<void()> others;
  static void moved(std::size_t) noexcept {}
  static void made(std::size_t slots) {
    if (slots == size) std::exchange(others, [] {})();
  }
};

}  // namespace

TEST_CASE("while a lock is held, the entries of sixteen slots are moved at most, growth included") {
  own_map<seen_steps> m;
  constexpr std::uint64_t entries = 500'000;
  std::vector<std::thread> threads;
  for (std::uint64_t t = 0; t < 4; ++t) {
    threads.emplace_back([&m, t] {
      for (std::uint64_t i = t; i < entries; i += 4) {
        if (m.it.insert(i, {m.bucket, static_cast<std::uint16_t>(i)}) != tables::insertion::done) {
          std::abort();
        }
        if (i % 3 == 0 && m.it.erase(i, 1).extra != static_cast<std::uint16_t>(i)) std::abort();
      }
    });
  }
  for (auto& t : threads) t.join();
  CHECK(seen_steps::most == 16);
  CHECK(seen_steps::all > entries / 2);
  for (std::uint64_t i = 0; i < entries; ++i) {
    const auto found = m.it.erase(i, 1);
    REQUIRE((found.bucket == nullptr) == (i % 3 == 0));
    if (i % 3 != 0) REQUIRE(found.extra == static_cast<std::uint16_t>(i));
  }
  // 2/3 of the entries in arrays that are at least 3/8 full, which are moved or are to be.
  CHECK(m.budget.used() < entries * 2 / 3 * 16 * 8 / 3 * 3 / 2);
}

TEST_CASE("a thread whose larger array is late makes one that is large enough") {
  own_map<while_it_waits> m;
  std::uint64_t next = 0;
  const auto insert_into_first_shard = [&] {
    while (tables::spread(++next) >> 58 != 0) {
    }
    return m.it.insert(next, {m.bucket, 0});
  };
  // The others put in such an array themselves, and fill it to three quarters.
  while_it_waits::size = 512;
  while_it_waits::others = [&] {
    for (int i = 192; i < 384; ++i) {
      REQUIRE(insert_into_first_shard() == tables::insertion::done);
    }
  };
  for (int i = 0; i < 193; ++i) REQUIRE(insert_into_first_shard() == tables::insertion::done);
  CHECK(m.budget.used() <= (512 + 1024) * 16);
}

TEST_CASE("entries are found in both arrays, in each state of a move") {
  own_map<> m;
  std::uint64_t n = 0;
  for (; n < 20'000; ++n) {
    REQUIRE(m.it.insert(n * 64, {m.bucket, static_cast<std::uint16_t>(n)}) ==
            tables::insertion::done);
    const std::uint64_t other = sys::mix64(n) % (n + 1);
    REQUIRE(m.it.insert(other * 64, {m.bucket, 0}) == tables::insertion::present);
    const auto found = m.it.erase(other * 64, 1);
    REQUIRE(found.extra == static_cast<std::uint16_t>(other));
    REQUIRE(m.it.erase(other * 64, 1).bucket == nullptr);
    REQUIRE(m.it.insert(other * 64, {m.bucket, found.extra}) == tables::insertion::done);
  }
}
