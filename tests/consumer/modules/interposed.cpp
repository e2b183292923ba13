// SPDX-License-Identifier: Apache-2.0
//
// A program that exports its copies of the same instruments as a plugin's: `interposed PLUGIN`.
// Each module's allocations are sampled by its own countdown, so each 100 MB stand for 100 MB.
#include "interposed.hpp"

#include <dlfcn.h>

#include <cstdint>
#include <cstdio>

#include <whence/profile.hpp>

namespace {

std::int64_t allocated() {
  std::int64_t bytes = 0;
  for (const whence::profile_row& row : whence::lookup("allocs")->snapshot().rows) {
    bytes += row.values[1];
  }
  return bytes;
}

}  // namespace

int main(int, char** argv) {
  void* const plugin = dlopen(argv[1], RTLD_NOW | RTLD_GLOBAL);
  auto* const work =
      reinterpret_cast<void (*)()>(plugin == nullptr ? nullptr : dlsym(plugin, "work"));
  if (work == nullptr) return 2;
  int failures = 0;
  for (void (*const part)() : {&allocate_100_mb, work, work}) {
    const std::int64_t before = allocated();
    part();
    const double megabytes = static_cast<double>(allocated() - before) / 1e6;
    // 100 MB at a mean of 64 KiB are 1526 samples: a standard deviation of 2.6 MB. The bound is 7.
    if (megabytes < 82 || megabytes > 118) {
      std::fprintf(stderr, "interposed: 100 MB show as %.1f\n", megabytes);
      ++failures;
    }
  }
  return failures;
}
