// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include <algorithm>
#include <cstdint>
#include <stdexcept>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "support/function_bounds.hpp"
#include <whence/knobs.hpp>
#include <whence/profile.hpp>

using namespace whence;

namespace {

template <class F>
std::string message_of(F&& f) {
  try {
    f();
  } catch (const std::exception& e) {
    return e.what();
  }
  return "nothing was thrown";
}

void add_at_depth(profile& p, std::uint64_t value, int skip, int depth);
// Called through a volatile pointer, so that no call is inlined, cloned or turned into a loop.
void (*volatile call)(profile&, std::uint64_t, int, int) = &add_at_depth;

WHENCE_TEST_FUNCTION(profile_add_at_depth)
void add_at_depth(profile& p, std::uint64_t value, int skip, int depth) {
  if (depth > 0) {
    call(p, value, skip, depth - 1);
  } else {
    p.add(value, skip);
  }
  asm volatile("");  // not a tail call
}

}  // namespace

TEST_CASE("the predefined profiles exist, in the order of their names") {
  std::vector<std::string_view> predefined;
  for (const profile* p : profiles()) {
    if (p->kind() != instruments::kind::custom && p->name().find('.') == std::string_view::npos) {
      predefined.push_back(p->name());
    }
  }
  const std::vector<std::string_view> expected{"allocs", "block",      "goroutine",   "heap",
                                               "mutex",  "mutex_hold", "threadcreate"};
  CHECK(predefined == expected);
  const auto all = profiles();
  CHECK(std::is_sorted(all.begin(), all.end(),
                       [](const profile* a, const profile* b) { return a->name() < b->name(); }));
  CHECK(lookup("thread") == lookup("goroutine"));
  CHECK(lookup("heap")->description() == "A sampling of memory allocations of live objects");
  CHECK(lookup("nonsense") == nullptr);
  CHECK(lookup("") == nullptr);
}

TEST_CASE("a new profile is found by its name, and says its description") {
  profile& p = new_profile("profile.new", "what it is for");
  CHECK(lookup("profile.new") == &p);
  CHECK(p.name() == "profile.new");
  CHECK(p.description() == "what it is for");
  CHECK(p.count() == 0);
  CHECK(p.snapshot().rows.empty());
}

TEST_CASE("an empty or taken name is refused, and the message says which") {
  new_profile("profile.taken");
  CHECK_THROWS_AS(new_profile(""), std::invalid_argument);
  CHECK(message_of([] { new_profile(""); }) == "new_profile: the name is empty");
  CHECK_THROWS_AS(new_profile("profile.taken"), std::invalid_argument);
  CHECK(message_of([] { new_profile("heap"); }) == "new_profile: name \"heap\" is already in use");
  CHECK_THROWS_AS(new_profile("thread"), std::invalid_argument);
}

TEST_CASE("values are added once, counted, and removed once") {
  profile& p = new_profile("profile.values");
  int object = 0;
  p.add(&object);
  p.add(7);
  CHECK(p.count() == 2);
  CHECK_THROWS_AS(p.add(7), std::invalid_argument);
  CHECK(message_of([&p] { p.add(7); }) ==
        "profile::add: the value is already in profile \"profile.values\"");
  CHECK(p.count() == 2);
  CHECK(p.remove(7));
  CHECK_FALSE(p.remove(7));
  CHECK(p.remove(&object));
  CHECK(p.count() == 0);
  p.add(7);  // again, after it was removed
  CHECK(p.count() == 1);
  p.remove(7);
}

TEST_CASE("the same value may be in two profiles") {
  profile& a = new_profile("profile.a");
  profile& b = new_profile("profile.b");
  a.add(1);
  b.add(1);
  CHECK(a.remove(1));
  CHECK(b.count() == 1);
  CHECK(b.remove(1));
}

TEST_CASE("a value is a pointer, an integer, an enum or a small handle, told apart by their bits") {
  profile& p = new_profile("profile.keys");
  enum class color : unsigned char { red = 200 };
  struct handle {
    std::uint64_t a, b;
  };
  struct small {
    int fd;
  };
  p.add(color::red);
  CHECK_THROWS(p.add(200));
  p.add(handle{1, 2});
  p.add(handle{1, 3});
  CHECK_THROWS(p.add(handle{1, 3}));
  p.add(1);
  p.add(-1);
  CHECK_THROWS(p.add(std::int64_t{-1}));
  p.add(small{9});
  CHECK(p.count() == 6);
  CHECK(p.remove(handle{1, 2}));
  CHECK_FALSE(p.remove(handle{1, 2}));
  CHECK(p.remove(small{9}));
  struct padded {
    char a;
    int b;
  };
  struct large {
    char bytes[17];
  };
  static_assert(!std::is_constructible_v<profile_key, padded>);
  static_assert(!std::is_constructible_v<profile_key, large>);
  static_assert(!std::is_constructible_v<profile_key, double>);
  static_assert(!std::is_constructible_v<profile_key, std::string>);
}

TEST_CASE("add and remove on a predefined profile throw, and the message says so") {
  CHECK_THROWS_AS(lookup("heap")->add(1), std::logic_error);
  CHECK_THROWS_AS(lookup("goroutine")->remove(1), std::logic_error);
  CHECK(message_of([] { lookup("heap")->add(1); }) ==
        "profile::add: \"heap\" is a predefined profile, only custom ones take values");
  profile& p = new_profile("profile.skip");
  CHECK_THROWS_AS(p.add(1, -1), std::logic_error);
  CHECK(p.count() == 0);
}

TEST_CASE("the stack begins in the caller of add, and skip leaves out frames from there") {
  profile& p = new_profile("profile.stacks");
  const auto own_frames = [&](int skip) {
    call(p, 1, skip, 4);
    const auto rows = p.snapshot().rows;
    p.remove(1);
    REQUIRE(rows.size() == 1);
    const auto in_function = [](std::uintptr_t pc) {
      return whence_tests::in_function(pc, WHENCE_TEST_BOUNDS(profile_add_at_depth));
    };
    const auto first_other =
        std::find_if_not(rows[0].stack.begin(), rows[0].stack.end(), in_function);
    CHECK(first_other != rows[0].stack.end());
    return first_other - rows[0].stack.begin();
  };
  CHECK(own_frames(0) == 5);
  CHECK(own_frames(1) == 4);
  CHECK(own_frames(4) == 1);
  CHECK(own_frames(5) == 0);
  // More frames than exist: the row stays, with an empty stack.
  p.add(2, 100'000);
  CHECK(p.snapshot().rows[0].stack.empty());
  p.remove(2);
}

TEST_CASE("deep stacks keep the leaf end up to the limit, and say that they are cut") {
  profile& p = new_profile("profile.deep");
  set_max_stack_depth(20);
  call(p, 1, 0, 50);
  auto rows = p.snapshot().rows;
  REQUIRE(rows.size() == 1);
  CHECK(rows[0].stack.size() == 20);
  CHECK(rows[0].truncated);
  p.remove(1);
  set_max_stack_depth(1 << 30);
  call(p, 1, 0, 900);
  rows = p.snapshot().rows;
  REQUIRE(rows.size() == 1);
  CHECK(rows[0].stack.size() > 900);
  CHECK_FALSE(rows[0].truncated);
  p.remove(1);
  set_max_stack_depth(128);
}

TEST_CASE("equal stacks are one row with their count") {
  profile& p = new_profile("profile.rows");
  volatile std::uint64_t equal = 10;  // one call site: the loop must not be unrolled
  for (std::uint64_t i = 0; i < equal; ++i) p.add(i);
  p.add(10);
  std::vector<std::int64_t> counts;
  for (const profile_row& row : p.snapshot().rows) counts.push_back(row.values[0]);
  std::sort(counts.begin(), counts.end());
  CHECK(counts == std::vector<std::int64_t>{1, 10});
  for (std::uint64_t i = 0; i < 11; ++i) p.remove(i);
  CHECK(p.snapshot().rows.empty());
}

// Invariant: in any interleaving, each value is in the profile from its add to its remove, so after
// all threads have removed what they added the profile is empty, and no count was ever negative.
TEST_CASE("threads add and remove while others take snapshots") {
  profile& p = new_profile("profile.threads");
  std::vector<std::thread> pool;
  for (std::uint64_t t = 0; t < 4; ++t) {
    pool.emplace_back([&p, t] {
      for (std::uint64_t i = 0; i < 5000; ++i) {
        p.add(t << 32 | i);
        if (i >= 100) p.remove(t << 32 | (i - 100));
      }
      for (std::uint64_t i = 4900; i < 5000; ++i) p.remove(t << 32 | i);
    });
  }
  bool negative = false;
  for (int i = 0; i < 200; ++i) {
    for (const profile_row& row : p.snapshot().rows) negative |= row.values[0] < 0;
  }
  for (auto& thread : pool) thread.join();
  CHECK_FALSE(negative);
  CHECK(p.count() == 0);
}
