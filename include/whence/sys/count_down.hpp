// SPDX-License-Identifier: Apache-2.0
//
// Subtracts from a word that only its thread uses, and tells whether that went below zero, in which
// case the word has wrapped. On x86-64 it is one instruction, and its carry is what a branch tests:
// compilers load, subtract and store. Signal-safe.
#ifndef WHENCE_SYS_COUNT_DOWN_HPP
#define WHENCE_SYS_COUNT_DOWN_HPP

#include <cstdint>

namespace whence::inline v1::sys {

[[gnu::always_inline]] inline bool count_down(std::uint64_t& word, std::uint64_t by) noexcept {
#if defined(__x86_64__)
  bool borrow;
  asm("subq %2, %0" : "+m"(word), "=@ccb"(borrow) : "r"(by));
  return borrow;
#else
  return __builtin_sub_overflow(word, by, &word);
#endif
}

}  // namespace whence::inline v1::sys

#endif  // WHENCE_SYS_COUNT_DOWN_HPP
