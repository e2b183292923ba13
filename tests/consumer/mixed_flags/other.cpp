// SPDX-License-Identifier: Apache-2.0
#include <vector>

#include <whence/whence.hpp>

void other_unit();

void other_unit() {
  std::vector<int, whence::tracking_allocator<int>> numbers(1000);
  numbers.push_back(1);
}
