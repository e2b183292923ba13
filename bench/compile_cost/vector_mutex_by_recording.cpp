// SPDX-License-Identifier: Apache-2.0
//
// vector_mutex.cpp through the umbrella of all pages that record.
#include <mutex>
#include <vector>

#include <whence/recording.hpp>

namespace {
whence::tracked_mutex<> guard;
std::vector<int, whence::tracking_allocator<int>> values;
}  // namespace

void add(int value) {
  const std::lock_guard hold(guard);
  values.push_back(value);
}
