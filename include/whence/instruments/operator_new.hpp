// SPDX-License-Identifier: Apache-2.0
//
// What the replaced operators do beyond asking upstream: the loop over the new_handler, and what
// happens without one. (C++20: [new.delete.single].)
#ifndef WHENCE_INSTRUMENTS_OPERATOR_NEW_HPP
#define WHENCE_INSTRUMENTS_OPERATOR_NEW_HPP

#include <stdlib.h>

#include <cstddef>
#include <new>

namespace whence::inline v1::instruments {

// A block of exactly that size; nullptr if there is no memory, or no such alignment.
[[gnu::always_inline]] inline void* aligned_block(std::size_t bytes,
                                                  std::size_t alignment) noexcept {
  void* block = nullptr;
  // posix_memalign knows no alignment below that of a pointer.
  if (alignment == 1 || alignment == 2 || alignment == 4) alignment = sizeof(void*);
  return ::posix_memalign(&block, alignment, bytes) == 0 ? block : nullptr;
}

// Asks again as long as the program has a handler, and the handler returns. nullptr without one, or
// if the alignment is no power of two.
template <class Ask>
void* ask_with_handler(std::size_t alignment, Ask ask) {
  while ((alignment & (alignment - 1)) == 0) {
    if (void* const block = ask()) return block;
    const std::new_handler handler = std::get_new_handler();
    if (handler == nullptr) break;
    handler();
  }
  return nullptr;
}

// Throws std::bad_alloc if there is no block. Without exceptions the program ends, as it does in
// the standard library then.
inline void* throw_if_nullptr(void* block) {
  if (block != nullptr) [[likely]]
    return block;
#if defined(__cpp_exceptions)
  throw std::bad_alloc();
#else
  ::abort();
#endif
}

// The result of `ask`; nullptr if it throws.
template <class Ask>
void* nullptr_if_throws(Ask ask) noexcept {
#if defined(__cpp_exceptions)
  try {
    return ask();
  } catch (...) {
    return nullptr;
  }
#else
  return ask();
#endif
}

}  // namespace whence::inline v1::instruments

#endif  // WHENCE_INSTRUMENTS_OPERATOR_NEW_HPP
