// SPDX-License-Identifier: Apache-2.0
//
// A file that records; its twin is condition_variable_std.cpp.
#include <mutex>

#include <whence/condition_variable.hpp>

namespace {
std::mutex guard;
whence::tracked_condition_variable ready;
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
