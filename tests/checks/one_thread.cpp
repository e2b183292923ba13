// SPDX-License-Identifier: Apache-2.0
//
// Preloaded where only test files of one thread run: ends the program if one is started all the
// same. ThreadSanitizer's build leaves these files out (tests/CMakeLists.txt: starts_threads).
#include <pthread.h>

#include <cstdio>
#include <cstdlib>

namespace {

// What the tests start, compilers above all, may have threads.
[[gnu::constructor]] void leave_children_alone() {
  ::unsetenv("LD_PRELOAD");
}

}  // namespace

extern "C" [[gnu::visibility("default")]] int pthread_create(::pthread_t*, const ::pthread_attr_t*,
                                                             void* (*)(void*), void*) noexcept {
  std::fputs("one_thread: a test that ThreadSanitizer's build leaves out starts a thread\n",
             stderr);
  std::abort();
}
