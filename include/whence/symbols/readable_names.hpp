// SPDX-License-Identifier: Apache-2.0
//
// This library's own names as in source code: without the inline namespace, and with the text of a
// string that is a template argument.
//
//   whence::v1::custom<whence::v1::fixed_string<4ul>{char [4]{(char)97, (char)112, (char)112}}>
//   whence::custom<"app">
#ifndef WHENCE_SYMBOLS_READABLE_NAMES_HPP
#define WHENCE_SYMBOLS_READABLE_NAMES_HPP

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include <whence/sys/digits.hpp>

namespace whence::inline v1::symbols {

// Takes the character list of a demangled fixed_string off the front of `rest`, and returns it as a
// string literal; if `rest` begins with none, returns an empty text and takes nothing.
template <class = void>
inline std::string take_fixed_string(std::string_view& rest) {
  constexpr std::string_view head = "whence::fixed_string<", list = "{char", item = "(char)";
  if (!rest.starts_with(head)) return {};
  constexpr std::size_t longest_size = 24;  // 4ul>
  const std::size_t open = rest.substr(0, head.size() + longest_size + list.size()).find(list);
  if (open == std::string_view::npos) return {};
  // Not beyond the next head, or a text of many heads would be searched as many times.
  const std::size_t close = rest.find_first_of("}<", open);
  if (close == std::string_view::npos || !rest.substr(close).starts_with("}}")) return {};
  std::string text = "\"";
  for (std::size_t at = rest.find(item, open); at < close; at = rest.find(item, at + 1)) {
    const std::uint64_t c = sys::parse(rest.substr(at + item.size(), close - at), 10);
    if (c != 0 && c < 256) text += static_cast<char>(c);
  }
  rest.remove_prefix(close + 2);
  return text + "\"";
}

template <class = void>
inline std::string without_abi_noise(std::string_view name) {
  constexpr std::string_view versioned = "whence::v1::", plain = "whence::";
  std::string unversioned;
  for (std::size_t at = name.find(versioned); at != std::string_view::npos;
       at = name.find(versioned)) {
    unversioned += name.substr(0, at);
    unversioned += plain;
    name.remove_prefix(at + versioned.size());
  }
  unversioned += name;

  std::string result;
  for (std::string_view rest = unversioned; !rest.empty();) {
    const std::string literal = take_fixed_string(rest);
    result += literal;
    if (literal.empty()) {
      result += rest.front();
      rest.remove_prefix(1);
    }
  }
  return result;
}

}  // namespace whence::inline v1::symbols

#endif  // WHENCE_SYMBOLS_READABLE_NAMES_HPP
