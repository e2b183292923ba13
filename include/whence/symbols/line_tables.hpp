// SPDX-License-Identifier: Apache-2.0
//
// The known units of a file, as tables in memory that is returned to the kernel:
//
//   rows:    | place | file | line | column | ...   in the order of places: valid from there on
//   steps:   | place | scope | ...                  the same
//   scopes:  | scope around it | name | file, line and column of the call | ...
//
// A place is an address as a distance from the lowest one of the file's code, in 4 bytes.
#ifndef WHENCE_SYMBOLS_LINE_TABLES_HPP
#define WHENCE_SYMBOLS_LINE_TABLES_HPP

#include <cstddef>
#include <cstdint>
#include <string_view>

#include <whence/sys/mapped_array.hpp>

namespace whence::inline v1::symbols {

inline constexpr std::uint32_t no_scope = 0xffffffff;
inline constexpr std::uint32_t no_file = 0xffffffff;

struct text_piece {
  std::uint32_t at = 0, length = 0;
};
struct scope_name {
  text_piece text;
  std::uint32_t start_line = 0;
  bool linker_name = false;
};
struct scope {
  std::uint32_t around = no_scope;  // no_scope if it is not inlined
  std::uint32_t name = 0;
  std::uint32_t call_file = 0, call_line = 0, call_column = 0;
};
struct scope_step {
  std::uint32_t at, scope;
};
struct line_row {
  std::uint32_t at;
  std::uint32_t file;  // no_file if a sequence of rows ends here
  std::uint32_t line, column;
};

struct line_tables {
  std::uint64_t low = 0, high = 0;  // bounds of the code
  sys::mapped_array<line_row> rows;
  sys::mapped_array<scope_step> steps;
  sys::mapped_array<scope> scopes;
  sys::mapped_array<scope_name> names;
  sys::mapped_array<text_piece> files;
  sys::mapped_array<char> text;

  bool holds(std::uint64_t begin, std::uint64_t end) const noexcept {
    return begin >= low && begin < end && end <= high && end - low < no_file;
  }
  std::uint32_t place_of(std::uint64_t address) const noexcept {
    return static_cast<std::uint32_t>(address - low);
  }

  // Returns an empty piece after 4 GB of text.
  text_piece add_text(std::string_view s) {
    if (s.size() > 0xffffffff - text.size()) return {};
    const text_piece p{static_cast<std::uint32_t>(text.size()),
                       static_cast<std::uint32_t>(s.size())};
    text.append(s.data(), s.size());
    return p;
  }
  std::string_view text_of(text_piece p) const noexcept { return {text.data() + p.at, p.length}; }

  std::size_t bytes() const noexcept {
    return rows.bytes() + steps.bytes() + scopes.bytes() + names.bytes() + files.bytes() +
           text.bytes();
  }
  void release() noexcept {
    rows.release();
    steps.release();
    scopes.release();
    names.release();
    files.release();
    text.release();
  }
};

// A unit's part of a table.
struct table_part {
  std::uint32_t begin = 0, end = 0;
};

// The last item of a part that is not after `at`; nullptr if all are after it.
template <class T>
const T* last_before(const sys::mapped_array<T>& items, table_part part,
                     std::uint32_t at) noexcept {
  std::size_t low = part.begin;
  for (std::size_t count = part.end - part.begin; count > 0;) {
    const std::size_t half = count / 2;
    if (at < items[low + half].at) {
      count = half;
    } else {
      low += half + 1;
      count -= half + 1;
    }
  }
  return low == part.begin ? nullptr : &items[low - 1];
}

}  // namespace whence::inline v1::symbols

#endif  // WHENCE_SYMBOLS_LINE_TABLES_HPP
