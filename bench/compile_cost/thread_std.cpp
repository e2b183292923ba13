// SPDX-License-Identifier: Apache-2.0
//
// The twin of thread.cpp, which records nothing.
#include <thread>

void run(void (*work)(int), int argument) {
  std::jthread worker(work, argument);
  worker.join();
}
