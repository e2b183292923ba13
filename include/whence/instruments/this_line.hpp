// SPDX-License-Identifier: Apache-2.0
//
// The file and the line of the expression, as the name of a lock or of another thing to wait for:
//
//   whence::tracked_mutex<> m{whence::this_line()};   // with the label lock=cache.cpp:12
//
// If it is in the initializer of a member, it is the line of the constructor, or of the class if
// the compiler makes the constructor.
#ifndef WHENCE_INSTRUMENTS_THIS_LINE_HPP
#define WHENCE_INSTRUMENTS_THIS_LINE_HPP

#include <string_view>

namespace whence::inline v1::instruments {

class this_line {
 public:
  // (The defaults do not use std::source_location, which has no names in it with clang++ 14.)
  explicit this_line(const char* file = __builtin_FILE(), int line = __builtin_LINE()) noexcept {
    char digits[10];
    int count = 0;
    auto left = static_cast<unsigned>(line);
    do {
      digits[count++] = static_cast<char>('0' + left % 10);
      left /= 10;
    } while (left != 0);

    const char* name = file;
    for (const char* c = file; *c != '\0'; ++c) {
      if (*c == '/') name = c + 1;
    }
    char* end = text_;
    while (*name != '\0' && end != text_ + longest_name) *end++ = *name++;
    *end++ = ':';
    while (count > 0) *end++ = digits[--count];
    *end = '\0';
  }
  this_line(const this_line&) = delete;
  this_line& operator=(const this_line&) = delete;

  // The text lives as long as this object. Instruments copy a name that is given at run time.
  operator std::string_view() const noexcept { return text_; }

 private:
  static constexpr int longest_name = 255;  // the longest name of a file on Linux

  char text_[longest_name + sizeof ":1234567890"];
};

}  // namespace whence::inline v1::instruments

namespace whence::inline v1 {

using instruments::this_line;

}  // namespace whence::inline v1

#endif  // WHENCE_INSTRUMENTS_THIS_LINE_HPP
