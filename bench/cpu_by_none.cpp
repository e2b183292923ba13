// SPDX-License-Identifier: Apache-2.0
//
// No profiler in the process: it runs alone, or under a profiler from outside, as `perf record`.
#include "cpu_profiler.hpp"

bool profiler::start(int, const char*) {
  return true;
}

void profiler::stop() {}
