// SPDX-License-Identifier: Apache-2.0
//
// A container and a lock that record, through the two pages they need: the typical file of a
// program.
#include <mutex>
#include <vector>

#include <whence/allocator.hpp>
#include <whence/mutex.hpp>

namespace {
whence::tracked_mutex<> guard;
std::vector<int, whence::tracking_allocator<int>> values;
}  // namespace

void add(int value) {
  const std::lock_guard hold(guard);
  values.push_back(value);
}
