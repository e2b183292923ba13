// SPDX-License-Identifier: Apache-2.0
#ifndef INTERPOSED_HPP
#define INTERPOSED_HPP

#include <memory_resource>

#include <whence/recording.hpp>

// Allocates half through either instrument.
inline void allocate_100_mb() {
  whence::set_heap_profile_rate(64 * 1024);
  whence::tracking_allocator<char> allocator;
  whence::tracking_resource resource;
  for (int i = 0; i < 50'000; ++i) {
    char* const block = allocator.allocate(1000);
    asm volatile("" ::"r"(block) : "memory");
    allocator.deallocate(block, 1000);
    resource.deallocate(resource.allocate(1000), 1000);
  }
}

#endif  // INTERPOSED_HPP
