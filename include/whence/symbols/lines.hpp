// SPDX-License-Identifier: Apache-2.0
//
// Lines and inlined frames of one module, from its debug information.
#ifndef WHENCE_SYMBOLS_LINES_HPP
#define WHENCE_SYMBOLS_LINES_HPP

#include <whence/config.hpp>

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace whence::inline v1::symbols {

// One frame at an address, as debug information tells it; empty or 0 where it does not.
struct source_line {
  std::string function;
  bool linker_name = false;  // `function` is the linker's name
  std::string file;
  std::uint32_t line = 0, column = 0;
  std::uint32_t start_line = 0;  // of the function
};

// Knows nothing.
class debug_lines {
 public:
  debug_lines(int, int, const std::string&) {}
  std::vector<source_line> find(std::uint64_t) { return {}; }
  std::string_view missing() const { return {}; }
};

}  // namespace whence::inline v1::symbols

#endif  // WHENCE_SYMBOLS_LINES_HPP
