// SPDX-License-Identifier: Apache-2.0
//
// malloc_usable_size says of every block what it says without the library, sampled or not, and all
// of it may be written. The program asks twice: itself, printing the sizes, and preloaded, where
// they are compared:
//
//   usable > FILE;  LD_PRELOAD=libwhole.so usable FILE [DIFFERENCE]
#include <malloc.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int main(int argc, char** argv) {
  FILE* const known = argc > 1 ? ::fopen(argv[1], "r") : nullptr;
  const std::size_t allowed = argc > 2 ? ::strtoul(argv[2], nullptr, 10) : 0;
  int mistakes = 0, compared = 0;
  const auto check = [&](const char* how, std::size_t bytes, void* block) {
    const std::size_t usable = ::malloc_usable_size(block);
    ::memset(block, 1, usable);
    if (known == nullptr) {
      ::printf("%zu\n", usable);
      return;
    }
    std::size_t expected = 0;
    if (::fscanf(known, "%zu", &expected) != 1 || usable > expected + allowed ||
        expected > usable + allowed) {
      if (++mistakes < 10) {
        ::fprintf(stderr, "usable: %s(%zu) has %zu, not %zu\n", how, bytes, usable, expected);
      }
    }
    ++compared;
  };
  // One block at a time, so that the heap is in the same state in both runs.
  for (std::size_t bytes = 1; bytes < (1 << 20); bytes += bytes < 4096 ? 1 : 509) {
    void* block = ::malloc(bytes);
    check("malloc", bytes, block);
    ::free(block);
    block = ::calloc(1, bytes);
    check("calloc", bytes, block);
    ::free(block);
  }
  if (known != nullptr) ::printf("usable: %d sizes are equal\n", compared - mistakes);
  return mistakes != 0 || (known != nullptr && compared == 0);
}
