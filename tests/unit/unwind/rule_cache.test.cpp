// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include <atomic>
#include <cstdint>
#include <memory>
#include <thread>
#include <vector>

#include <whence/unwind/rule_cache.hpp>

using namespace whence;
using unwind::rule;

namespace {

struct own_cache {
  std::unique_ptr<unwind::rule_cache::storage> storage =
      std::make_unique<unwind::rule_cache::storage>();
  unwind::rule_cache cache{*storage};

  rule find(std::uint64_t key) {
    const rule r = cache.read().find(key);
    return r ? r : cache.find_victim(key);
  }
};

// Every key has its own rule, so a confusion is seen.
rule rule_of(std::uint64_t key) {
  const std::uint64_t n = sys::mix64(key);
  return rule::from_word((n & rule::bits) | std::uint64_t{1} << 33);
}

}  // namespace

TEST_CASE("a rule is found by its address and by no other") {
  own_cache c;
  const std::uint64_t key = 0x7f1234567899;
  CHECK_FALSE(c.find(key));
  c.cache.insert(key, rule_of(key));
  CHECK(c.find(key) == rule_of(key));
  for (int bit = 0; bit < 64; ++bit) CHECK_FALSE(c.find(key ^ std::uint64_t{1} << bit));
}

TEST_CASE("two addresses of one slot that take turns are both found") {
  own_cache c;
  const std::uint64_t a = 0x555500001000, b = a + (std::uint64_t{1} << 20);
  c.cache.insert(a, rule_of(a));
  c.cache.insert(b, rule_of(b));
  for (int i = 0; i < 4; ++i) {
    CHECK(c.find(a) == rule_of(a));
    CHECK(c.find(b) == rule_of(b));
  }
}

TEST_CASE("addresses outside of user space are never kept") {
  own_cache c;
  for (const std::uint64_t key : {std::uint64_t{1} << 47, ~std::uint64_t{0}}) {
    c.cache.insert(key, rule_of(key));
    CHECK_FALSE(c.find(key));
    CHECK_FALSE(c.find(key & 0x7fffffffffff));
  }
}

TEST_CASE("threads that insert and evict at once never see another address's rule") {
  auto c = std::make_unique<own_cache>();
  std::atomic<int> wrong{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&c, &wrong, t] {
      std::uint64_t n = static_cast<std::uint64_t>(t);
      for (int i = 0; i < 50'000; ++i) {
        n = sys::mix64(n + 1);
        // Few slots, many keys for each.
        const std::uint64_t key = (n & 0x7f) | (n >> 32 & 0xff) << 15;
        const rule found = c->find(key);
        if (!found) c->cache.insert(key, rule_of(key));
        if (found && !(found == rule_of(key))) wrong.fetch_add(1);
      }
    });
  }
  for (std::thread& t : threads) t.join();
  CHECK(wrong == 0);
}

TEST_CASE("the cache takes 272 KiB, whatever the program's size") {
  CHECK(sizeof(unwind::rule_cache::storage) == 272 * 1024);
}
