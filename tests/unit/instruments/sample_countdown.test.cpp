// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include <cmath>
#include <cstdint>
#include <initializer_list>

#include <whence/instruments/sample_countdown.hpp>
#include <whence/knobs.hpp>
#include <whence/registry.hpp>

using namespace whence;

namespace {

// The share of allocations of `bytes` that are sampled, among n.
double sampled_share(std::size_t bytes, int n) {
  int sampled = 0;
  for (int i = 0; i < n; ++i) {
    if (instruments::countdown(bytes) && instruments::due<default_registry>(bytes) != 0) ++sampled;
  }
  return static_cast<double>(sampled) / n;
}

}  // namespace

// The number of samples is binomial with p = 1 - exp(-S/R). The bound is 4.5 standard deviations:
// a correct sampler fails one run in 150 000 for each of the six sizes.
TEST_CASE("a block of S bytes is sampled with probability 1 - exp(-S/R)") {
  constexpr std::int64_t rate = 100'000;
  const std::int64_t before = set_heap_profile_rate(rate);
  constexpr int n = 400'000;
  for (const std::size_t bytes : {100U, 1000U, 10'000U, 70'000U, 100'000U, 300'000U}) {
    const double p = 1 - std::exp(-static_cast<double>(bytes) / rate);
    const double sd = std::sqrt(p * (1 - p) / n);
    const double share = sampled_share(bytes, n);
    CAPTURE(bytes);
    CHECK(std::abs(share - p) < 4.5 * sd);
  }
  set_heap_profile_rate(before);
}

// Between two samples lie Exp(R) bytes: their mean is R, and a share exp(-1) of the gaps exceeds R.
// With 40 000 gaps the standard deviations are 0.5 % and 0.24 points; the bounds are 5 of them.
TEST_CASE("the bytes between two samples are exponential") {
  constexpr std::int64_t rate = 64 * 1024;
  const std::int64_t before = set_heap_profile_rate(rate);
  constexpr std::size_t step = 64;
  double total = 0;
  int gaps = 0, longer = 0;
  std::int64_t gap = 0;
  while (gaps < 40'000) {
    gap += step;
    if (!instruments::countdown(step) || instruments::due<default_registry>(step) == 0) continue;
    total += static_cast<double>(gap);
    longer += gap > rate ? 1 : 0;
    gap = 0;
    ++gaps;
  }
  set_heap_profile_rate(before);
  CHECK(std::abs(total / gaps / rate - 1) < 0.025);
  CHECK(std::abs(static_cast<double>(longer) / gaps - std::exp(-1)) < 0.0121);
}

TEST_CASE("a countdown never reaches into the next epoch, even at a sparse rate") {
  const std::int64_t before = set_heap_profile_rate(std::int64_t{1} << 55);
  CHECK(sampled_share(1 << 20, 1000) == 0);
  set_heap_profile_rate(1);
  CHECK(sampled_share(1, 10) == 1);  // the sparse draw is void at once
  set_heap_profile_rate(before);
}
