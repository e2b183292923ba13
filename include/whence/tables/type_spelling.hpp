// SPDX-License-Identifier: Apache-2.0
//
// A type's name as a person writes it, whichever compiler spelled it:
//
//   g++       std::pair<const std::__cxx11::basic_string<char>, {anonymous}::order *>
//   clang++   std::pair<const std::basic_string<char>, (anonymous namespace)::order *>
//   here      std::pair<const std::string, (anonymous namespace)::order*>
//
// Signal-safe.
#ifndef WHENCE_TABLES_TYPE_SPELLING_HPP
#define WHENCE_TABLES_TYPE_SPELLING_HPP

#include <cstddef>
#include <cstring>
#include <string_view>

namespace whence::inline v1::tables {

// The size of a template argument at the front of the text, with the comma before it, that a person
// leaves out: an allocator and other defaults of a container. 0 if there is no such argument.
inline std::size_t size_of_left_out(std::string_view text) noexcept {
  static constexpr std::string_view left_out[] = {
      ", std::allocator<",
      ", basic_tracking_allocator<",  // as GCC says it
      ", whence::basic_tracking_allocator<",
      ", std::char_traits<",
      ", std::less<",
      ", std::hash<",
      ", std::equal_to<",
  };
  for (const std::string_view begin : left_out) {
    if (!text.starts_with(begin)) continue;
    int depth = 1;
    for (std::size_t i = begin.size(); i < text.size(); ++i) {
      if (text[i] == '<') ++depth;
      if (text[i] == '>' && --depth == 0) return i + 1;
    }
  }
  return 0;
}

// `to` has room for twice the size of the name.
inline std::string_view spelled(std::string_view name, char* to) noexcept {
  struct rule {
    std::string_view from;
    std::string_view to;
  };
  static constexpr rule rules[] = {
      {"std::__cxx11::", "std::"},
      {"whence::v1::", "whence::"},
      {" >", ">"},
      {"{anonymous}", "(anonymous namespace)"},
      {" *", "*"},
      {" &", "&"},
      {" [", "["},
  };
  std::size_t size = 0;
  const auto put = [&](std::string_view text) {
    std::memcpy(to + size, text.data(), text.size());
    size += text.size();
  };
  while (!name.empty()) {
    if (const std::size_t left_out = size_of_left_out(name)) {
      name.remove_prefix(left_out);
      continue;
    }
    rule applied{name.substr(0, 1), name.substr(0, 1)};
    for (const rule& r : rules) {
      if (name.starts_with(r.from)) applied = r;
    }
    put(applied.to);
    name.remove_prefix(applied.from.size());
    // The text is complete once its last bracket is written.
    constexpr std::string_view string = "std::basic_string<char>";
    if (std::string_view(to, size).ends_with(string)) {
      size -= string.size();
      put("std::string");
    }
  }
  return {to, size};
}

}  // namespace whence::inline v1::tables

#endif  // WHENCE_TABLES_TYPE_SPELLING_HPP
