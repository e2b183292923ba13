// SPDX-License-Identifier: Apache-2.0
//
// What waits for a tracked_mutex through std::unique_lock<std::mutex>, as std::condition_variable
// does, is told what to use instead. expected: use_tracked_condition_variable
#include <condition_variable>
#include <mutex>

#include <whence/mutex.hpp>

int main() {
  whence::tracked_mutex<> m;
  std::condition_variable ready;
  std::unique_lock<std::mutex> hold(m);
  ready.wait(hold);
}
