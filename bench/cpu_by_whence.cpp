// SPDX-License-Identifier: Apache-2.0
#include <cstdio>

#include "cpu_profiler.hpp"
#include <whence/cpu.hpp>

bool profiler::start(int hz, const char* out) {
  const std::error_code error = whence::start_cpu_profile(out, {.hz = hz});
  if (error) std::fprintf(stderr, "whence: %s\n", error.message().c_str());
  return !error;
}

void profiler::stop() {
  const std::error_code error = whence::stop_cpu_profile();
  if (error) std::fprintf(stderr, "whence: %s\n", error.message().c_str());
}
