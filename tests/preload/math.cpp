// SPDX-License-Identifier: Apache-2.0
//
// The preload's logarithm and exponential beside libm's, over the arguments that the library has.
#include <cmath>
#include <cstdio>
#include <random>

#include "../../examples/preload/without_libm.hpp"

int main() {
  std::mt19937_64 random(1);
  double worst_log = 0, worst_exp = 0;
  for (int i = 0; i < 1'000'000; ++i) {
    const double u = std::generate_canonical<double, 53>(random);
    for (const double x :
         {u + 1e-300, std::ldexp(u + 0x1p-53, static_cast<int>(random() % 60) - 55)}) {
      const double expected = std::log(x);
      const double off = std::abs(without_libm::log(x) - expected) / (std::abs(expected) + 1e-300);
      if (off > worst_log) worst_log = off;
    }
    for (const double scale : {1.0, 1e-3, 1e-9, 30.0, 800.0}) {
      const double expected = std::expm1(-u * scale);
      const double off =
          std::abs(without_libm::expm1(-u * scale) - expected) / (std::abs(expected) + 1e-300);
      if (off > worst_exp) worst_exp = off;
    }
  }
  std::printf("worst relative error: log %.2g, expm1 %.2g\n", worst_log, worst_exp);
  return worst_log < 1e-13 && worst_exp < 1e-13 ? 0 : 1;
}
