// SPDX-License-Identifier: Apache-2.0
//
// A library that is preloaded into the programs of this folder: <whence/malloc.hpp>, and two
// functions by which they ask what it counts.
#include <cstdint>
#include <cstring>
#include <filesystem>

#include <whence/malloc.hpp>
#include <whence/profile.hpp>

extern "C" {
// The four sums of the profile: objects and bytes allocated, objects and bytes in use. `leaf`: only
// of stacks whose innermost address is in [leaf, leaf + size).
[[gnu::visibility("default")]] void test_heap(std::int64_t (&sums)[4]) {
  std::memset(sums, 0, sizeof sums);
  for (const whence::profile_row& row : whence::lookup("heap")->snapshot().rows) {
    for (std::size_t i = 0; i < 4; ++i) sums[i] += row.values[i];
  }
}

// The profile as text, into a file.
[[gnu::visibility("default")]] bool test_write(const char* path, int debug) {
  return !whence::lookup("heap")->write_to(std::filesystem::path(path), debug);
}
}
