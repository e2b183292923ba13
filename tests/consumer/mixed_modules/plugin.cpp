// SPDX-License-Identifier: Apache-2.0
#include <mutex>
#include <vector>

#include <whence/whence.hpp>

extern "C" __attribute__((visibility("default"))) std::size_t plugin_allocates() {
  whence::tracked_mutex<> m;
  const std::scoped_lock hold(m);
  std::vector<int, whence::tracking_allocator<int>> numbers(100'000);
  numbers.push_back(1);
  return numbers.size();
}
