// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include <ostream>
#include <system_error>

#include <whence/sys/work_check.hpp>

using whence::sys::work_check;

namespace {

struct result {
  mutable int asked = 0;
  int wanted_for = 0;
  static bool is_wanted(const void* it) {
    const auto& r = *static_cast<const result*>(it);
    return ++r.asked <= r.wanted_for;
  }
};

}  // namespace

TEST_CASE("work asks once in 1024 steps, and ends by operation_canceled") {
  const result r{.wanted_for = 2};
  work_check check(&result::is_wanted, &r);
  int steps = 0;
  std::error_code error;
  try {
    for (; steps < 10 * 1024; ++steps) check.step();
  } catch (const std::system_error& e) {
    error = e.code();
  }
  CHECK(error == std::errc::operation_canceled);
  CHECK(r.asked == 3);
  CHECK(steps == 3 * 1024 - 1);
  CHECK_THROWS_AS(check.ask(), std::system_error);
}

TEST_CASE("work whose result is always wanted never ends by itself") {
  work_check check;
  for (int i = 0; i < 5000; ++i) check.step();
  check.ask();
}
