// SPDX-License-Identifier: Apache-2.0
//
// Names of Rust as they were mangled before v0: C++'s way on the outside, with a hash at the end,
// and escapes for characters that C++ identifiers cannot hold.
//
//   _ZN46_$LT$shop..Cart$u20$as$u20$core..ops..Drop$GT$4drop17h0123456789abcdefE
//   <shop::Cart as core::ops::Drop>::drop
//
// They are shown whole: the parts that look like template arguments are the name. (rustc-demangle)
#ifndef WHENCE_SYMBOLS_RUST_NAME_HPP
#define WHENCE_SYMBOLS_RUST_NAME_HPP

#include <cstddef>
#include <string>
#include <string_view>

#include <whence/sys/digits.hpp>

namespace whence::inline v1::symbols {

template <class = void>
inline std::string without_rust_escapes(std::string_view part) {
  struct escape {
    std::string_view code;
    char meant;
  };
  constexpr escape known[] = {{"SP", '@'}, {"BP", '*'}, {"RF", '&'}, {"LT", '<'},
                              {"GT", '>'}, {"LP", '('}, {"RP", ')'}, {"C", ','}};
  if (part.starts_with("_$")) part.remove_prefix(1);
  std::string text;
  while (!part.empty()) {
    const std::size_t end = part.front() == '$' ? part.find('$', 1) : std::string_view::npos;
    const std::string_view code =
        end == std::string_view::npos ? std::string_view{} : part.substr(1, end - 1);
    char meant = 0;
    for (const escape& e : known) {
      if (code == e.code) meant = e.meant;
    }
    if (code.size() == 3 && code.front() == 'u') {
      meant = static_cast<char>(sys::parse(code.substr(1), 16));
    }
    if (meant != 0) {
      text += meant;
      part.remove_prefix(end + 1);
    } else if (part.starts_with("..")) {
      text += "::";
      part.remove_prefix(2);
    } else {
      text += part.front();
      part.remove_prefix(1);
    }
  }
  return text;
}

// Empty if it is no such name.
template <class = void>
inline std::string rust_name(std::string_view mangled) {
  constexpr std::string_view begin = "_ZN", hash = "17h";
  constexpr std::size_t end_size = 3 + 16 + 1;  // 17h, the hash, E
  if (const std::size_t clone = mangled.rfind("E."); clone != std::string_view::npos) {
    mangled = mangled.substr(0, clone + 1);
  }
  if (!mangled.starts_with(begin) || !mangled.ends_with('E') ||
      mangled.size() < begin.size() + end_size) {
    return {};
  }
  std::string_view rest = mangled.substr(begin.size(), mangled.size() - begin.size() - end_size);
  const std::string_view end = mangled.substr(mangled.size() - end_size);
  if (!end.starts_with(hash) ||
      end.find_first_not_of("0123456789abcdef", hash.size()) != end_size - 1) {
    return {};
  }
  std::string name;
  while (!rest.empty()) {
    const std::size_t digits = rest.find_first_not_of("0123456789");
    if (digits == 0 || digits > 5) return {};
    const std::size_t length = sys::parse(rest.substr(0, digits), 10);
    rest.remove_prefix(digits);
    if (length > rest.size()) return {};
    if (!name.empty()) name += "::";
    name += without_rust_escapes(rest.substr(0, length));
    rest.remove_prefix(length);
  }
  return name;
}

}  // namespace whence::inline v1::symbols

#endif  // WHENCE_SYMBOLS_RUST_NAME_HPP
