// SPDX-License-Identifier: Apache-2.0
//
// A library that is preloaded into the programs of this folder: <whence/malloc.hpp>, and two
// functions by which they ask what it counts.
#include <cstdint>
#include <cstring>
#include <filesystem>

#include <whence/core/counters.hpp>
#include <whence/malloc.hpp>
#include <whence/profile.hpp>
#include <whence/tables/bucket.hpp>

extern "C" {
// The four sums of the profile: objects and bytes allocated, objects and bytes in use. It allocates
// nothing, so that the sums are not of its own.
[[gnu::visibility("default")]] void test_heap(std::int64_t (&sums)[4]) {
  std::memset(sums, 0, sizeof sums);
  whence::lookup("heap")->rows().for_each([&sums](const whence::tables::bucket& b) {
    const whence::core::heap_values v = whence::core::read_heap(b);
    sums[0] += v.allocated.objects;
    sums[1] += v.allocated.bytes;
    sums[2] += v.in_use.objects;
    sums[3] += v.in_use.bytes;
  });
}

// The profile as text, into a file.
[[gnu::visibility("default")]] bool test_write(const char* path, int debug) {
  return !whence::lookup("heap")->write_to(std::filesystem::path(path), debug);
}
}
