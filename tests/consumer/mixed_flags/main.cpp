// SPDX-License-Identifier: Apache-2.0
//
// Two translation units, compiled with settings that must not be mixed. The program runs and
// reports it at first use; the script reads the message.
#include <cstdio>
#include <vector>

#include <whence/whence.hpp>

void other_unit();

int main() {
  whence::set_heap_profile_rate(1);
  std::vector<int, whence::tracking_allocator<int>> numbers(1000);
  other_unit();
  std::puts("ran to the end");
  return whence::lookup("heap") != nullptr && numbers.size() == 1000 ? 0 : 1;
}
