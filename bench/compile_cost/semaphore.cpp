// SPDX-License-Identifier: Apache-2.0
//
// A file that records; its twin is semaphore_std.cpp.
#include <whence/sync.hpp>

namespace {
whence::tracked_counting_semaphore<8> slots(8);
}  // namespace

void enter() {
  slots.acquire();
}
void leave() {
  slots.release();
}
