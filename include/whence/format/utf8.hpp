// SPDX-License-Identifier: Apache-2.0
//
// Makes any bytes valid UTF-8, which every reader of a profile demands: each byte that is not part
// of a character (Unicode, table 3-7) becomes U+FFFD.
#ifndef WHENCE_FORMAT_UTF8_HPP
#define WHENCE_FORMAT_UTF8_HPP

#include <cstddef>
#include <string>
#include <string_view>

namespace whence::inline v1::format {

// The length of the character that `text` begins with; 0 if it begins with an invalid one.
constexpr std::size_t utf8_length(std::string_view text) noexcept {
  const auto byte = [text](std::size_t i) {
    return i < text.size() ? static_cast<unsigned char>(text[i]) : 0U;
  };
  const auto tail = [&](std::size_t i) { return (byte(i) & 0xc0U) == 0x80; };
  const unsigned a = byte(0);
  if (text.empty()) return 0;
  if (a < 0x80) return 1;
  if (a >= 0xc2 && a <= 0xdf) return tail(1) ? 2 : 0;
  // Refuses overlong forms, surrogates, and values above U+10FFFF.
  const unsigned least = a == 0xe0 ? 0xa0 : a == 0xf0 ? 0x90 : 0x80;
  const unsigned most = a == 0xed ? 0x9f : a == 0xf4 ? 0x8f : 0xbf;
  const bool second = byte(1) >= least && byte(1) <= most;
  if (a >= 0xe0 && a <= 0xef) return second && tail(2) ? 3 : 0;
  if (a >= 0xf0 && a <= 0xf4) return second && tail(2) && tail(3) ? 4 : 0;
  return 0;
}

constexpr bool is_utf8(std::string_view text) noexcept {
  while (!text.empty()) {
    const std::size_t n = utf8_length(text);
    if (n == 0) return false;
    text.remove_prefix(n);
  }
  return true;
}

template <class = void>
inline std::string to_utf8(std::string_view text) {
  std::string result;
  while (!text.empty()) {
    const std::size_t n = utf8_length(text);
    result.append(n == 0 ? "\xef\xbf\xbd" : text.substr(0, n));
    text.remove_prefix(n == 0 ? 1 : n);
  }
  return result;
}

// The number of characters; each byte outside a character counts as one.
constexpr std::size_t utf8_count(std::string_view text) noexcept {
  std::size_t count = 0;
  for (; !text.empty(); ++count) {
    const std::size_t n = utf8_length(text);
    text.remove_prefix(n == 0 ? 1 : n);
  }
  return count;
}

}  // namespace whence::inline v1::format

#endif  // WHENCE_FORMAT_UTF8_HPP
