// SPDX-License-Identifier: Apache-2.0
//
// A file that records; its twin is thread_std.cpp.
#include <whence/thread.hpp>

void run(void (*work)(int), int argument) {
  whence::tracked_jthread worker(work, argument);
  worker.join();
}
