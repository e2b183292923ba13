// SPDX-License-Identifier: Apache-2.0
//
// The name of a type as a constant text, without RTTI: what the compiler says of a function's
// template argument, less what it says around it.
//
//   g++       constexpr const char* ...::signature() [with T = shop::order]
//   clang++   const char *...::signature() [T = shop::order]
//
// Only the name gets into the object file. The compilers spell some names differently; that is made
// good where the text is kept (stack/type_names.hpp), so that nothing is done for it here.
#ifndef WHENCE_INSTRUMENTS_TYPE_TEXT_HPP
#define WHENCE_INSTRUMENTS_TYPE_TEXT_HPP

#include <whence/config.hpp>

#include <cstddef>

namespace whence::inline v1::instruments {

// A longer one is cut, and ends in three dots: a file has one for each type.
inline constexpr std::size_t longest_type_text = 511;

template <class T>
constexpr const char* signature() noexcept {
  return __PRETTY_FUNCTION__;
}

// Hidden: GCC makes a template's static member unique in the process, and a plugin that has one is
// never unloaded.
template <class T>
struct [[gnu::visibility("hidden")]] type_text {
  // Where the name begins, and its length, in the signature.
  struct place {
    std::size_t begin = 0;
    std::size_t size = 0;
  };
  static constexpr place find() noexcept {
    const char* const text = signature<T>();
    std::size_t begin = 0;
    while (text[begin] != '[') ++begin;
    while (text[begin] != '=') ++begin;
    begin += 2;
    std::size_t end = begin;
    while (text[end] != '\0') ++end;
    return {begin, end - 1 - begin};  // without the bracket
  }

  struct copy {
    char text[find().size < longest_type_text ? find().size + 1 : longest_type_text + 1]{};
  };
  static constexpr copy make() noexcept {
    copy c;
    constexpr place name = find();
    constexpr std::size_t size = sizeof c.text - 1;
    for (std::size_t i = 0; i < size; ++i) c.text[i] = signature<T>()[name.begin + i];
    if constexpr (name.size > size) {
      for (std::size_t i = size - 3; i < size; ++i) c.text[i] = '.';
    }
    return c;
  }
  static constexpr copy it = make();
};

}  // namespace whence::inline v1::instruments

#endif  // WHENCE_INSTRUMENTS_TYPE_TEXT_HPP
