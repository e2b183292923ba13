// SPDX-License-Identifier: Apache-2.0
//
// vector_mutex.cpp, and one call that writes a profile.
#include <cstdio>
#include <mutex>
#include <system_error>
#include <vector>

#include <whence/allocator.hpp>
#include <whence/mutex.hpp>
#include <whence/profile.hpp>

namespace {
whence::tracked_mutex<> guard;
std::vector<int, whence::tracking_allocator<int>> values;
}  // namespace

void add(int value) {
  const std::lock_guard hold(guard);
  values.push_back(value);
}

std::error_code write(std::FILE* file) {
  return whence::write_heap_profile(file);
}
