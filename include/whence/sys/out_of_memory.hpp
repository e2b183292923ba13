// SPDX-License-Identifier: Apache-2.0
//
// Runs a function, and another one if that runs out of memory. Without exceptions a failed
// allocation ends the program, as it does everywhere in the standard library then.
#ifndef WHENCE_SYS_OUT_OF_MEMORY_HPP
#define WHENCE_SYS_OUT_OF_MEMORY_HPP

#include <new>

namespace whence::inline v1::sys {

// Returns f(), or otherwise() if f throws std::bad_alloc.
template <class F, class Otherwise>
auto or_if_out_of_memory(F&& f, [[maybe_unused]] Otherwise&& otherwise) {
#if defined(__cpp_exceptions)
  try {
    return f();
  } catch (const std::bad_alloc&) {
    return otherwise();
  }
#else
  return f();
#endif
}

}  // namespace whence::inline v1::sys

#endif  // WHENCE_SYS_OUT_OF_MEMORY_HPP
