// SPDX-License-Identifier: Apache-2.0
//
// A plugin that is loaded with RTLD_DEEPBIND: its calls of malloc and free go to its own scope
// first, in which the C library is.
#include <cstdlib>

extern "C" {
[[gnu::visibility("default")]] void* deep_malloc(std::size_t bytes) {
  return std::malloc(bytes);
}
[[gnu::visibility("default")]] void deep_free(void* block) {
  std::free(block);
}
}
