// SPDX-License-Identifier: Apache-2.0
//
// gperftools reads its rate from the environment before main begins: the caller sets it, and this
// file only checks that it did.
#include <gperftools/profiler.h>

#include <cstdio>
#include <cstdlib>

#include "cpu_profiler.hpp"

bool profiler::start(int hz, const char* out) {
  const char* const rate = std::getenv("CPUPROFILE_FREQUENCY");
  if (rate == nullptr || std::atoi(rate) != hz) {
    std::fprintf(stderr, "gperftools: needs CPUPROFILE_FREQUENCY=%d in the environment\n", hz);
    return false;
  }
  return ProfilerStart(out) != 0;
}

void profiler::stop() {
  ProfilerStop();
}
