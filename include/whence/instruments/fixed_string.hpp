// SPDX-License-Identifier: Apache-2.0
//
// Operations on a string that is a template argument.
#ifndef WHENCE_INSTRUMENTS_FIXED_STRING_HPP
#define WHENCE_INSTRUMENTS_FIXED_STRING_HPP

#include <cstddef>

#include <whence/names.hpp>

namespace whence::inline v1 {

// The concatenation, as a constant of its own.
template <fixed_string A, fixed_string B>
struct joined {
  static constexpr std::size_t length = A.length + B.length;
  struct storage {
    char text[length + 1]{};
  };
  static constexpr storage made = [] {
    storage s;
    for (std::size_t i = 0; i < A.length; ++i) s.text[i] = A.text[i];
    for (std::size_t i = 0; i < B.length; ++i) s.text[A.length + i] = B.text[i];
    return s;
  }();
};

}  // namespace whence::inline v1

#endif  // WHENCE_INSTRUMENTS_FIXED_STRING_HPP
