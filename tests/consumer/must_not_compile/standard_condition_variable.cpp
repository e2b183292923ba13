// SPDX-License-Identifier: Apache-2.0
//
// A std::condition_variable waits only with a std::mutex, and the error names the given lock.
// expected: unique_lock<(whence::v1::)?tracked_mutex
#include <condition_variable>
#include <mutex>

#include <whence/mutex.hpp>

int main() {
  whence::tracked_mutex<> m;
  std::condition_variable ready;
  std::unique_lock hold(m);
  ready.wait(hold);
}
