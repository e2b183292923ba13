// SPDX-License-Identifier: Apache-2.0
//
// Lines and inlined frames of one file: by libdw if the library is available, otherwise none.
#ifndef WHENCE_SYMBOLS_LINES_HPP
#define WHENCE_SYMBOLS_LINES_HPP

#include <whence/config.hpp>

#include <cstdint>
#include <string>
#include <string_view>
#include <type_traits>

#include <whence/sys/vector.hpp>

namespace whence::inline v1::symbols {

// One frame at an address, from debug information; members that it lacks are empty or 0.
struct source_line {
  // The linker's name if the debug information has one, otherwise the name made from the
  // surrounding scopes: shop::price::{lambda at cart.cpp:12}.
  std::string function;
  bool linker_name = false;
  std::string file;
  std::uint32_t line = 0;
  std::uint32_t column = 0;
  std::uint32_t start_line = 0;  // the function's
};

// Used without libdw; finds nothing.
class no_lines {
 public:
  no_lines(int, int, const std::string&) {}
  sys::vector<source_line> find(std::uint64_t) { return {}; }
  std::string_view missing() const noexcept {
    return "lines and inlined frames: the program was built without libdw (Debian: libdw-dev, "
           "-DWHENCE_WITH_LIBDW=1 -ldw -lelf)";
  }
  static constexpr bool may_pass() noexcept { return false; }
};

template <class>
class basic_libdw_lines;
using libdw_lines = basic_libdw_lines<void>;

}  // namespace whence::inline v1::symbols

#if WHENCE_WITH_LIBDW
#include <whence/symbols/libdw_lines.hpp>
#endif

namespace whence::inline v1::symbols {

using debug_lines = std::conditional_t<config::with_libdw, libdw_lines, no_lines>;

}  // namespace whence::inline v1::symbols

#endif  // WHENCE_SYMBOLS_LINES_HPP
