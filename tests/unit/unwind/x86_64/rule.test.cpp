// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#if defined(__x86_64__)

#include <array>
#include <cstdint>

#include "../ten_words.hpp"
#include <whence/unwind/x86_64/rule.hpp>

using namespace whence;
using unwind::registers;
using unwind::rule;
using unwind::rule_kind;

namespace {

using ten_words = whence_tests::ten_words<1000>;

bool same(const registers& a, const registers& b) {
  return a.pc == b.pc && a.sp == b.sp && a.fp == b.fp;
}

registers after(rule q, registers r, ten_words stack = {}) {
  REQUIRE(whence_tests::climbs(q, r, stack));
  return r;
}

bool refused(rule q, registers r, ten_words stack = {}) {
  const registers before = r;
  const bool climbed = whence_tests::climbs(q, r, stack);
  return !climbed && same(r, before);
}

}  // namespace

TEST_CASE("frame: CFA = sp + 8n, RA = *(CFA - 8), fp unchanged or *(CFA - 8m)") {
  CHECK(same(after(rule::frame(false, 8, 1), {1, 1000, 5}), {8000, 1008, 5}));
  CHECK(same(after(rule::frame(false, 40, 1), {1, 1000, 5}), {8032, 1040, 5}));
  CHECK(same(after(rule::frame(false, 40, 3), {1, 1000, 5}), {8032, 1040, 8016}));
}

TEST_CASE("frame: in an epilogue fp is in the red zone") {
  CHECK(same(after(rule::frame(false, 8, 2), {1, 1008, 5}), {8008, 1016, 8000}));
  CHECK(refused(rule::frame(false, 8, 2), {1, 1000, 5}));
}

TEST_CASE("frame: CFA = fp + 8n") {
  CHECK(same(after(rule::frame(true, 16, 2), {1, 1000, 1024}), {8032, 1040, 8024}));
}

TEST_CASE("aligned: CFA = *(fp + 8n), fp = *(fp)") {
  ten_words stack;
  stack.at(1016) = 1064;
  CHECK(same(after(rule::of(rule_kind::aligned, -8), {1, 1000, 1024}, stack), {8056, 1064, 8024}));
}

TEST_CASE("indirect: CFA = *(sp + 8n) + 8, fp unchanged or *(CFA - 8m)") {
  ten_words stack;
  stack.at(1016) = 1048;
  CHECK(same(after(rule::of(rule_kind::indirect, 16), {1, 1000, 5}, stack), {8048, 1056, 5}));
  CHECK(same(after(rule::of(rule_kind::indirect, 16, 2), {1, 1000, 5}, stack), {8048, 1056, 8040}));
}

TEST_CASE("linked: CFA = fp + 16, RA = *(fp + 8), fp = *(fp)") {
  CHECK(same(after(rule::of(rule_kind::linked), {1, 1000, 1032}), {8040, 1048, 8032}));
}

TEST_CASE("no rule reads outside of the stack, for any registers") {
  const rule rules[] = {rule::frame(false, 8, 1),
                        rule::frame(false, 88, 11),
                        rule::frame(true, 16, 2),
                        rule::frame(true, 80, 1),
                        rule::of(rule_kind::aligned, -8),
                        rule::of(rule_kind::aligned, 64),
                        rule::of(rule_kind::indirect, 72, 3),
                        rule::of(rule_kind::linked)};
  const std::uintptr_t words[] = {0,
                                  1,
                                  8,
                                  992,
                                  1000,
                                  1072,
                                  1073,
                                  1080,
                                  1088,
                                  4096,
                                  ~std::uintptr_t{0},
                                  ~std::uintptr_t{7},
                                  ~std::uintptr_t{15},
                                  std::uintptr_t{1} << 63};
  int climbed = 0;
  for (const rule q : rules) {
    for (const std::uintptr_t fp : words) {
      for (const std::uintptr_t word : words) {
        ten_words stack;
        stack.words.fill(word);
        registers r{1, 1000, fp};
        if (whence_tests::climbs(q, r, stack)) {
          ++climbed;
          CHECK(r.sp > 1000);
          CHECK(r.sp <= 1080);
        }
      }
    }
  }
  CHECK(climbed > 0);
}

TEST_CASE("the last frame of the stack may end where it ends") {
  CHECK(same(after(rule::frame(false, 80, 1), {1, 1000, 5}), {8072, 1080, 5}));
  CHECK(refused(rule::frame(false, 88, 1), {1, 1000, 5}));
  CHECK(refused(rule::frame(true, 16, 2), {1, 1016, 1008}));
}

TEST_CASE("frames that do not fit a rule are left to dwarf_walk") {
  CHECK(rule::frame(false, 12, 1).kind() == rule_kind::exact);
  CHECK(rule::frame(false, 0, 1).kind() == rule_kind::exact);
  CHECK(rule::frame(false, std::int64_t{8} << 16, 1).kind() == rule_kind::exact);
  CHECK(rule::frame(false, 8, 18).kind() == rule_kind::exact);  // below the red zone
  CHECK(rule::of(rule_kind::aligned, std::int64_t{8} << 13).kind() == rule_kind::exact);
}

TEST_CASE("a rule keeps its kind and its numbers") {
  for (const rule_kind kind :
       {rule_kind::aligned, rule_kind::indirect, rule_kind::signal_frame, rule_kind::linked,
        rule_kind::outermost, rule_kind::exact, rule_kind::elsewhere}) {
    const rule r = rule::of(kind, -64, 77);
    CHECK(r);
    CHECK(r.kind() == kind);
    CHECK(r.rare_offset() == static_cast<std::uintptr_t>(-64));
    CHECK(r.rare_fp_offset() == 8 * 77);
  }
  CHECK_FALSE(rule{});
  CHECK(rule{}.kind() == rule_kind::none);
}

#endif  // defined(__x86_64__)
