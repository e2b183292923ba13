// SPDX-License-Identifier: Apache-2.0
//
// A string as a template argument: custom_profile<"app.sessions">.
#ifndef WHENCE_PROFILE_FIXED_STRING_HPP
#define WHENCE_PROFILE_FIXED_STRING_HPP

#include <cstddef>
#include <string_view>

namespace whence::inline v1 {

template <std::size_t N>
struct fixed_string {
  char text[N]{};

  consteval fixed_string(const char (&literal)[N]) {
    for (std::size_t i = 0; i < N; ++i) text[i] = literal[i];
  }
  constexpr std::string_view view() const noexcept { return {text, N - 1}; }
};

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
