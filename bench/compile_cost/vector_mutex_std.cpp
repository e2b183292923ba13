// SPDX-License-Identifier: Apache-2.0
//
// A container and a lock. vector_mutex.cpp is the same with both recorded.
#include <mutex>
#include <vector>

namespace {
std::mutex guard;
std::vector<int> values;
}  // namespace

void add(int value) {
  const std::lock_guard hold(guard);
  values.push_back(value);
}
