// SPDX-License-Identifier: Apache-2.0
//
// Parts that all text formats are made of.
#ifndef WHENCE_FORMAT_TEXT_PARTS_HPP
#define WHENCE_FORMAT_TEXT_PARTS_HPP

#include <cstdint>
#include <string>
#include <string_view>

#include <whence/format/utf8.hpp>
#include <whence/sys/digits.hpp>

namespace whence::inline v1::format {

struct hex {
  std::uintptr_t value;
};

template <class = void>
inline void append_one(std::string& to, std::string_view text) {
  to += text;
}
template <class = void>
inline void append_one(std::string& to, std::int64_t number) {
  to += std::to_string(number);
}
template <class = void>
inline void append_one(std::string& to, hex h) {
  to += "0x";
  to += sys::to_hex(h.value);
}
template <class... Parts>
void append(std::string& to, const Parts&... parts) {
  (append_one(to, parts), ...);
}

// Replaces characters that would end a cell or a line.
template <class = void>
inline std::string clean(std::string_view name) {
  std::string text = to_utf8(name);
  for (char& c : text) {
    if (static_cast<unsigned char>(c) < 0x20) c = '?';
  }
  return text;
}

// Quotes a string like Go: no character of it can control a terminal.
template <class = void>
inline std::string in_quotes(std::string_view text) {
  std::string result = "\"";
  for (const char c : to_utf8(text)) {
    if (c == '\n') {
      result += "\\n";
    } else if (c == '\t') {
      result += "\\t";
    } else if (static_cast<unsigned char>(c) < 0x20) {
      append(result, "\\x", c < 0x10 ? "0" : "", sys::to_hex(static_cast<unsigned char>(c)));
    } else {
      if (c == '"' || c == '\\') result += '\\';
      result += c;
    }
  }
  return result + "\"";
}

}  // namespace whence::inline v1::format

#endif  // WHENCE_FORMAT_TEXT_PARTS_HPP
