// SPDX-License-Identifier: Apache-2.0
//
// A walk that follows the previous stack yields what any walk does, after any change of the stack.
#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <random>

#include "../own_unwinder.hpp"
#include <whence/unwind/capture.hpp>

using namespace whence;

namespace {

struct stacks {
  std::array<std::uintptr_t, 256> by_memo{}, by_rules{};
  std::minstd_rand random{7};
  long captures = 0, deep = 0, different = 0;
  std::size_t capacity = 256;
};

[[gnu::noinline]] void take(stacks& s) {
  unwind::unwinder& u = whence_tests::own_unwinder();
  unwind::trace memo{s.by_memo.data(), s.capacity};
  const unwind::stop_reason memo_end = unwind::capture(u, memo, __builtin_return_address(0));

  unwind::trace rules{s.by_rules.data(), s.capacity};
  unwind::registers r{};
  const unwind::pc at = unwind::here(r);
  unwind::rule_walk<unwind::trusted_memory> w(u, r, at);
  const auto from = reinterpret_cast<std::uintptr_t>(__builtin_return_address(0));
  const unwind::stop_reason rules_end = unwind::fill_from(w, rules, from, 0);

  const bool same =
      memo.depth == rules.depth && memo_end == rules_end && memo.truncated == rules.truncated &&
      std::equal(s.by_memo.begin(), s.by_memo.begin() + static_cast<std::ptrdiff_t>(memo.depth),
                 s.by_rules.begin());
  ++s.captures;
  if (memo.depth >= unwind::least_previous_depth) ++s.deep;
  if (!same) ++s.different;
}

// Frames of several sizes and shapes, chosen by chance at every level; `churn` tells how often a
// frame comes back to take the stack again with other frames above it.
using level = void (*)(stacks&, int depth, unsigned churn);
template <int Shape>
[[gnu::noinline]] void frame(stacks& s, int depth, unsigned churn);

const level shapes[] = {&frame<0>, &frame<1>, &frame<2>, &frame<3>, &frame<4>, &frame<5>};

template <int Shape>
void frame(stacks& s, int depth, unsigned churn) {
  volatile char room[8 + 40 * Shape];
  room[0] = 1;
  if constexpr (Shape == 5) {
    auto* const grown = static_cast<volatile char*>(__builtin_alloca(16 + s.random() % 64));
    grown[0] = 1;
  }
  for (unsigned again = 0; again < 1 + (s.random() % 16 < churn ? 1U : 0U); ++again) {
    if (depth == 0) {
      take(s);
    } else {
      shapes[s.random() % 6](s, depth - 1, churn);
    }
  }
  static_cast<void>(room[0]);
}

}  // namespace

TEST_CASE("a deep stack taken again and again is the same with its record and without") {
  stacks s;
  for (int i = 0; i < 100; ++i) {
    s.random.seed(5);
    frame<2>(s, 60, 0);
  }
  CHECK(s.different == 0);
  CHECK(s.deep == s.captures);
  CHECK(whence_tests::own_unwinder().stacks().of_this_thread().size >= 60);
}

TEST_CASE("stacks that change at the leaf, in the middle and altogether are the same too") {
  stacks s;
  for (int i = 0; i < 60; ++i) {
    const int depth = 30 + static_cast<int>(s.random() % 100);
    shapes[s.random() % 6](s, depth, 1);
  }
  CHECK(s.captures > 1000);
  CHECK(s.deep > 1000);
  CHECK(s.different == 0);
}

TEST_CASE("a stack deeper than a record, and one that is cut, are the same") {
  stacks s;
  for (int i = 0; i < 20; ++i) {
    s.random.seed(9);
    frame<1>(s, 200, 0);
  }
  s.capacity = 50;
  for (int i = 0; i < 20; ++i) {
    s.random.seed(9);
    frame<1>(s, 100, 0);
  }
  CHECK(s.different == 0);
}

TEST_CASE("four records take 16 KiB") {
  static_assert(sizeof(unwind::previous_stacks::storage) <= 17 * 1024);
  static_assert(sizeof(unwind::unwinder::storage) + sizeof(unwind::unwinder) < 300 * 1024);
}
