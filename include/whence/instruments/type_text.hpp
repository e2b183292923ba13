// SPDX-License-Identifier: Apache-2.0
//
// The name of a type as a constant text, without RTTI: it is cut out of what the compiler says of a
// function's template argument.
//
//   g++       constexpr ...::signature_text ...::signature() [with T = shop::order]
//   clang++   ...::signature_text ...::signature() [T = shop::order]
//
// Only the name gets into the object file. The compilers spell some names differently, which
// tables/type_names.hpp corrects when it keeps the text, so that nothing is done for it here.
#ifndef WHENCE_INSTRUMENTS_TYPE_TEXT_HPP
#define WHENCE_INSTRUMENTS_TYPE_TEXT_HPP

#include <whence/config.hpp>

#include <cstddef>

namespace whence::inline v1::instruments {

// A longer name is cut, and ends in three dots, because a file has one for each type.
inline constexpr std::size_t longest_type_text = 511;

struct signature_text {
  const char* text;
  std::size_t size;
};

template <class T>
constexpr signature_text signature() noexcept {
  return {__PRETTY_FUNCTION__, sizeof __PRETTY_FUNCTION__ - 1};
}

// Hidden, because GCC makes a template's static member unique in the process, and a plugin that has
// such a member is never unloaded.
template <class T>
struct [[gnu::visibility("hidden")]] type_text {
  // The offset and the length of the name in the signature. However long the signature is, few
  // characters are looked at.
  struct place {
    std::size_t begin;
    std::size_t size;
  };
  static constexpr place find() noexcept {
    constexpr signature_text whole = signature<T>();
    std::size_t begin = 0;
    while (whole.text[begin] != '[') ++begin;
    while (whole.text[begin] != '=') ++begin;
    begin += 2;
    return {begin, whole.size - 1 - begin};  // without the bracket at the end
  }

  struct copy {
    char text[find().size < longest_type_text ? find().size + 1 : longest_type_text + 1]{};
  };
  static constexpr copy make() noexcept {
    constexpr place name = find();
    copy c;
    constexpr std::size_t size = sizeof c.text - 1;
    constexpr const char* from = signature<T>().text + name.begin;
    for (std::size_t i = 0; i < size; ++i) c.text[i] = from[i];
    if constexpr (name.size > size) {
      for (std::size_t i = size - 3; i < size; ++i) c.text[i] = '.';
    }
    return c;
  }
  static constexpr copy it = make();
};

}  // namespace whence::inline v1::instruments

#endif  // WHENCE_INSTRUMENTS_TYPE_TEXT_HPP
