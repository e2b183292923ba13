// SPDX-License-Identifier: Apache-2.0
//
// Lines and inlined frames: by libbacktrace where it is at hand, else none.
#ifndef WHENCE_SYMBOLS_LINES_HPP
#define WHENCE_SYMBOLS_LINES_HPP

#include <whence/config.hpp>

#include <cstdint>
#include <string>
#include <type_traits>
#include <vector>

namespace whence::inline v1::symbols {

// One frame at an address, as debug information tells it; empty or 0 where it does not.
struct source_line {
  std::string function;  // mangled where it has a mangled name
  std::string file;
  std::uint32_t line = 0;
};

// Knows nothing.
class no_lines {
 public:
  void modules_changed() noexcept {}
  std::vector<source_line> find(std::uintptr_t) { return {}; }
};

class libbacktrace_lines;

}  // namespace whence::inline v1::symbols

#if WHENCE_WITH_LIBBACKTRACE
#include <whence/symbols/libbacktrace_lines.hpp>
#endif

namespace whence::inline v1::symbols {

using default_lines = std::conditional_t<config::with_libbacktrace, libbacktrace_lines, no_lines>;

}  // namespace whence::inline v1::symbols

#endif  // WHENCE_SYMBOLS_LINES_HPP
