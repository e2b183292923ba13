// SPDX-License-Identifier: Apache-2.0
//
// Numbers as digits, in the two bases that addresses and names are written in. <charconv> does
// more, and is 500 lines in every program that includes us.
#ifndef WHENCE_SYS_DIGITS_HPP
#define WHENCE_SYS_DIGITS_HPP

#include <cstdint>
#include <string>
#include <string_view>

namespace whence::inline v1::sys {

inline std::string to_hex(std::uint64_t value) {
  std::string text;
  for (int shift = 60; shift >= 0; shift -= 4) {
    const std::uint64_t digit = value >> shift & 15;
    if (digit != 0 || !text.empty() || shift == 0) text += "0123456789abcdef"[digit];
  }
  return text;
}

// The number `text` begins with, in lower-case digits; 0 if it begins with no digit.
inline std::uint64_t parse(std::string_view text, unsigned base) {
  std::uint64_t value = 0;
  for (const char c : text) {
    const unsigned digit = c >= '0' && c <= '9'   ? static_cast<unsigned>(c - '0')
                           : c >= 'a' && c <= 'f' ? static_cast<unsigned>(c - 'a') + 10
                                                  : base;
    if (digit >= base) break;
    value = value * base + digit;
  }
  return value;
}

}  // namespace whence::inline v1::sys

#endif  // WHENCE_SYS_DIGITS_HPP
