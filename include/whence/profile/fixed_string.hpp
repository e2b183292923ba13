// SPDX-License-Identifier: Apache-2.0
//
// What can be done with a string that is a template argument.
#ifndef WHENCE_PROFILE_FIXED_STRING_HPP
#define WHENCE_PROFILE_FIXED_STRING_HPP

#include <cstddef>
#include <string_view>

#include <whence/names.hpp>

namespace whence::inline v1 {

template <std::size_t N>
constexpr auto fixed_string<N>::view() const noexcept {
  return std::string_view(text, N - 1);
}

// The concatenation, as a constant of its own.
template <fixed_string A, fixed_string B>
struct joined {
  static constexpr std::size_t length = A.view().size() + B.view().size();
  struct storage {
    char text[length + 1]{};
  };
  static constexpr storage made = [] {
    storage s;
    std::size_t at = 0;
    for (const char c : A.view()) s.text[at++] = c;
    for (const char c : B.view()) s.text[at++] = c;
    return s;
  }();
  static constexpr std::string_view view{made.text, length};
};

}  // namespace whence::inline v1

#endif  // WHENCE_PROFILE_FIXED_STRING_HPP
