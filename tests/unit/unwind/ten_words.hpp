// SPDX-License-Identifier: Apache-2.0
//
// A stack of ten words at address 1000; the word at a holds a + 7000, unless it is set.
#ifndef WHENCE_TESTS_UNWIND_TEN_WORDS_HPP
#define WHENCE_TESTS_UNWIND_TEN_WORDS_HPP

#include <doctest/doctest.h>

#include <array>
#include <cstddef>
#include <cstdint>

#include <whence/unwind/arch.hpp>

namespace whence_tests {

template <std::uintptr_t First>
struct ten_words {
  std::array<std::uintptr_t, 10> words{};

  ten_words() {
    for (std::size_t i = 0; i < words.size(); ++i) words[i] = First + 7000 + 8 * i;
  }
  std::uintptr_t& at(std::uintptr_t address) { return words.at((address - First) / 8); }
  std::uintptr_t load(std::uintptr_t address) {
    REQUIRE(address >= First);
    REQUIRE(address + 8 <= end());
    return at(address);
  }
  static std::uintptr_t end() { return First + 80; }
  static bool reach(std::uintptr_t) { return false; }
  static bool can_read(std::uintptr_t address) { return address >= First; }
  static void move_to(std::uintptr_t) {}
};

template <class Stack>
bool climbs(whence::unwind::rule q, whence::unwind::registers& r, Stack& stack) {
  return q.is_frame() ? climb(q, r, stack) : climb_rare(q, r, stack);
}

}  // namespace whence_tests

#endif  // WHENCE_TESTS_UNWIND_TEN_WORDS_HPP
