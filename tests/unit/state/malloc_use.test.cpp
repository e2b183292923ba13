// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>
#include <time.h>

#include <cstdint>

#include <whence/state/malloc_use.hpp>

using whence::state::malloc_use;

TEST_CASE("malloc is asked how much it has in use once a minute, and its answer gets old") {
  malloc_use use;
  int asked = 0;
  const auto ask = [&asked] { return std::int64_t{100} + asked++; };
  CHECK(use.get(ask).bytes == 100);
  const malloc_use::answer second = use.get(ask);
  CHECK(second.bytes == 100);
  CHECK(second.age_ns >= 0);
  CHECK(asked == 1);
}

TEST_CASE("the first answer is given however long it took, with the age that it has") {
  malloc_use use;
  int asked = 0;
  const auto slow = [&asked] {
    const timespec pause{0, 5'000'000};
    ::nanosleep(&pause, nullptr);
    return std::int64_t{7} + asked++;
  };
  const malloc_use::answer first = use.get(slow);
  CHECK(first.bytes == 7);
  CHECK(first.age_ns >= 5'000'000);
  CHECK(use.get(slow).bytes == 7);
  CHECK(asked == 1);
}
