// SPDX-License-Identifier: Apache-2.0
//
// The twin of condition_variable.cpp, which records nothing.
#include <condition_variable>
#include <mutex>

namespace {
std::mutex guard;
std::condition_variable_any ready;
bool done = false;
}  // namespace

void finish() {
  {
    const std::lock_guard hold(guard);
    done = true;
  }
  ready.notify_all();
}

void await() {
  std::unique_lock hold(guard);
  ready.wait(hold, [] { return done; });
}
