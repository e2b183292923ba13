// SPDX-License-Identifier: Apache-2.0
//
// A std::unique_lock<std::mutex>, which std::condition_variable needs, takes no tracked_mutex.
// expected: use_tracked_condition_variable
#include <condition_variable>
#include <mutex>

#include <whence/mutex.hpp>

int main() {
  whence::tracked_mutex<> m;
  std::condition_variable ready;
  std::unique_lock<std::mutex> hold(m);
  ready.wait(hold);
}
