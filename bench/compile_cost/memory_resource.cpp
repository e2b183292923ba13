// SPDX-License-Identifier: Apache-2.0
//
// A file that records; its twin is memory_resource_std.cpp.
#include <memory_resource>
#include <vector>

#include <whence/memory_resource.hpp>

int sum(const int* first, const int* last) {
  whence::tracking_resource memory;
  const std::pmr::vector<int> copy(first, last, &memory);
  int result = 0;
  for (int value : copy) result += value;
  return result;
}
