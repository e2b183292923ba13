// SPDX-License-Identifier: Apache-2.0
//
// Tells whether an address is in a function, without symbols: the function is in a section of its
// own, whose bounds the linker knows.
//
//   WHENCE_TEST_FUNCTION(name) void f() {...}        in_function(pc, WHENCE_TEST_BOUNDS(name))
#ifndef WHENCE_TESTS_FUNCTION_BOUNDS_HPP
#define WHENCE_TESTS_FUNCTION_BOUNDS_HPP

#include <cstdint>

#define WHENCE_TEST_FUNCTION(name)                                   \
  extern "C" const char __start_##name[]; /* NOLINT: the linker's */ \
  extern "C" const char __stop_##name[];  /* NOLINT */               \
  [[gnu::section(#name), gnu::noinline]]
#define WHENCE_TEST_BOUNDS(name)  \
  ::whence_tests::bounds {        \
    __start_##name, __stop_##name \
  }

namespace whence_tests {

struct bounds {
  const char* begin;
  const char* end;
};

inline bool in_function(std::uintptr_t return_address, bounds b) {
  return return_address > reinterpret_cast<std::uintptr_t>(b.begin) &&
         return_address <= reinterpret_cast<std::uintptr_t>(b.end);
}

}  // namespace whence_tests

#endif  // WHENCE_TESTS_FUNCTION_BOUNDS_HPP
