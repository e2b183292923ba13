// SPDX-License-Identifier: Apache-2.0
//
// The two functions of libm that the library calls. A program that does not use libm would load it
// for them alone, in 0.2 ms at each of its starts: as long as all the rest of the preload takes.
// They are for the library's own arguments, and as exact as a double: tests/preload/math.cpp.
#pragma once

#include <bit>
#include <cstdint>

namespace without_libm {

constexpr double ln2 = 0x1.62e42fefa39efp-1;

// The natural logarithm of a positive, normal number: x = m 2^k with m from sqrt(1/2) to sqrt(2),
// and ln m = 2 artanh((m - 1) / (m + 1)).
inline double log(double x) noexcept {
  const auto bits = std::bit_cast<std::uint64_t>(x);
  std::int64_t k = static_cast<std::int64_t>(bits >> 52) - 1023;
  double m = std::bit_cast<double>((bits & 0x000fffffffffffffU) | 0x3ff0000000000000U);
  if (m > 1.4142135623730951) {
    m /= 2;
    ++k;
  }
  const double y = (m - 1) / (m + 1);
  const double y2 = y * y;
  double sum = 0;
  for (int i = 23; i >= 3; i -= 2) sum = (sum + 1.0 / i) * y2;
  return 2 * (y + y * sum) + static_cast<double>(k) * ln2;
}

// e^x - 1 for x from -700 to 700: x = r + k ln 2 with |r| at most ln2 / 2.
inline double expm1(double x) noexcept {
  if (x < -700) return -1;
  const auto k = static_cast<std::int64_t>(x / ln2 + (x < 0 ? -0.5 : 0.5));
  const double r = x - static_cast<double>(k) * ln2;
  double sum = 0;
  for (int i = 20; i >= 1; --i) sum = (sum + 1) * r / i;
  if (k == 0) return sum;
  const double power = std::bit_cast<double>(static_cast<std::uint64_t>(k + 1023) << 52);
  return sum * power + (power - 1);
}

}  // namespace without_libm
