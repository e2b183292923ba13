// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include <initializer_list>

#include <whence/core/counters.hpp>

using namespace whence;

TEST_CASE("samples are scaled to the amounts they represent, like Go's") {
  const core::heap_amount four = core::scale(4, 1024, 524288);
  CHECK(four.objects == 2050);
  CHECK(four.bytes == 2099200);
  const core::heap_amount three = core::scale(3, 1024, 524288);
  CHECK(three.objects == 1537);
  CHECK(three.bytes == 1574400);
  const core::heap_amount one = core::scale(1, 524288, 524288);
  CHECK(one.objects == 1);
  CHECK(one.bytes == 829411);
}

TEST_CASE("at rate 1 nothing is scaled, and zero stays zero") {
  CHECK(core::scale(7, 24, 1).objects == 7);
  CHECK(core::scale(7, 24, 1).bytes == 168);
  CHECK(core::scale(0, 1024, 524288).bytes == 0);
}

TEST_CASE("a reader that scales by the average size inverts unscale") {
  for (const std::int64_t size : {16, 1024, 100'000}) {
    const core::heap_amount scaled{1'000'000, 1'000'000 * size};
    const core::heap_amount raw = core::unscale(scaled, 524288);
    const double back = static_cast<double>(raw.objects) /
                        core::sampling_probability(static_cast<double>(size), 524288);
    CHECK(back / 1e6 == doctest::Approx(1).epsilon(0.02));
  }
}
