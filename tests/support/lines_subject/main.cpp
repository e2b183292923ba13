// SPDX-License-Identifier: Apache-2.0
#include "cart.hpp"

int unused_by_all(int n) {
  int all = 0;
  for (int i = 0; i < n; ++i) all += static_cast<int>(shop::total(static_cast<double>(i), n));
  return all;
}

int main() {
  shop::queue q;
  shop::price(q);
  shop::ship(q);
  q.run();
  return shop::total(1.0, 3) > 0 && shop::total(2L, 3) > 0 ? 0 : 1;
}
