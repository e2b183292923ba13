// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include <algorithm>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "support/function_bounds.hpp"
#include <whence/profile.hpp>
#include <whence/tracked.hpp>

using namespace whence;

namespace {

using sessions = basic_custom_profile<"tracked.sessions", true>;
using entry = tracked<sessions>;

std::size_t live() {
  return sessions::get().count();
}

}  // namespace

TEST_CASE("an entry counts while it lives") {
  CHECK(live() == 0);
  {
    entry a;
    CHECK(live() == 1);
    const auto b = std::make_unique<entry>();
    CHECK(live() == 2);
  }
  CHECK(live() == 0);
}

TEST_CASE("a copy is one more entry, a move is the same one") {
  entry a;
  entry b = a;
  CHECK(live() == 2);
  entry c = std::move(a);
  CHECK(live() == 2);
  entry d = a;  // NOLINT(bugprone-use-after-move): a copy of nothing is nothing
  CHECK(live() == 2);
  d = b;
  CHECK(live() == 3);
  d = c;
  CHECK(live() == 3);
  d = a;
  CHECK(live() == 2);
  b = std::move(c);
  CHECK(live() == 1);
  entry& same = b;
  b = same;
  CHECK(live() == 1);
  std::swap(b, c);
  CHECK(live() == 1);
}

TEST_CASE("entries in a growing vector move and are not counted twice") {
  std::vector<entry> v;
  for (int i = 0; i < 100; ++i) v.emplace_back();
  CHECK(live() == 100);
  v.erase(v.begin(), v.begin() + 40);
  CHECK(live() == 60);
  v.clear();
  CHECK(live() == 0);
}

TEST_CASE("an owner whose constructor throws leaves no entry behind") {
  struct owner {
    entry entry_;
    explicit owner(bool fails) {
      if (fails) throw std::runtime_error("no");
    }
  };
  CHECK_THROWS(owner(true));
  CHECK(live() == 0);
  const owner works(false);
  CHECK(live() == 1);
}

TEST_CASE("an entry may end on another thread") {
  auto e = std::make_unique<entry>();
  std::thread([moved = std::move(e)]() mutable { moved.reset(); }).join();
  CHECK(live() == 0);
}

TEST_CASE("the same name is the same profile everywhere") {
  CHECK(lookup("tracked.sessions") == &sessions::get());
  CHECK_THROWS_AS(new_profile("tracked.sessions"), std::invalid_argument);
  profile& mine = new_profile("tracked.mine");
  CHECK(&basic_custom_profile<"tracked.mine", true>::get() == &mine);
}

namespace {

using never_entered = basic_custom_profile<"tracked.never_entered", true>;
using described = basic_custom_profile<"tracked.described", true>;

// Code that the program has, and that never runs.
[[gnu::used]] void never_called() {
  const tracked<never_entered> a;
  const tracked<described> b;
}

}  // namespace

TEST_CASE("a profile that code names is there, empty, before that code runs") {
  profile* const found = lookup("tracked.never_entered");
  REQUIRE(found != nullptr);
  CHECK(found->count() == 0);
  const std::vector<profile*> all = profiles();
  CHECK(std::find(all.begin(), all.end(), found) != all.end());
  std::string text;
  CHECK(!found->write_to(text, 1));
  CHECK(text == "tracked.never_entered profile: total 0\n");
  CHECK(&never_entered::get() == found);
  CHECK(lookup("tracked.named_by_no_code") == nullptr);
}

TEST_CASE("a profile that was only listed may still be made and described") {
  profile* const listed = lookup("tracked.described");
  REQUIRE(listed != nullptr);
  CHECK(&new_profile("tracked.described", "orders in progress") == listed);
  CHECK(listed->description() == "orders in progress");
  CHECK_THROWS_AS(new_profile("tracked.described"), std::invalid_argument);
}

namespace {
WHENCE_TEST_FUNCTION(tracked_made_here)
entry made_here() {
  entry e;
  asm volatile("");
  return e;
}
WHENCE_TEST_FUNCTION(tracked_copied_here)
entry copied_here(const entry& from) {
  entry e = from;
  asm volatile("");
  return e;
}
// Called through volatile pointers, so that neither is inlined or cloned.
entry (*volatile make)() = &made_here;
entry (*volatile copy)(const entry&) = &copied_here;

}  // namespace

TEST_CASE("the stack is that of the code that made or copied the entry") {
  using seen = std::pair<bool, bool>;
  seen found{};
  const entry a = make();
  const entry b = copy(a);
  for (const profile_row& row : sessions::get().snapshot().rows) {
    REQUIRE(row.stack.size() > 2);
    // Without optimization the leaf is tracked's own constructor, which the user called.
    for (const std::uintptr_t pc : row.stack.first(3)) {
      found.first |= whence_tests::in_function(pc, WHENCE_TEST_BOUNDS(tracked_made_here));
      found.second |= whence_tests::in_function(pc, WHENCE_TEST_BOUNDS(tracked_copied_here));
    }
    CHECK(row.values[0] == 1);
  }
  CHECK(found == seen{true, true});
}
