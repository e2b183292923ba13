// SPDX-License-Identifier: Apache-2.0
//
// The twin of memory_resource.cpp, which records nothing.
#include <memory_resource>
#include <vector>

int sum(const int* first, const int* last) {
  std::pmr::memory_resource* const memory = std::pmr::get_default_resource();
  const std::pmr::vector<int> copy(first, last, memory);
  int result = 0;
  for (int value : copy) result += value;
  return result;
}
