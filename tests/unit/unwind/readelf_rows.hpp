// SPDX-License-Identifier: Apache-2.0
//
// The rows of a module's call-frame information as `readelf -wF` prints them:
//
//      LOC           CFA      rbx   rbp   ra
//   0000000000027287 rsp+24   u     c-16  c-8
#ifndef WHENCE_TESTS_UNWIND_READELF_ROWS_HPP
#define WHENCE_TESTS_UNWIND_READELF_ROWS_HPP

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <sstream>
#include <string>
#include <vector>

#include "support/temp_dir.hpp"

namespace whence_tests {

struct cfi_row {
  std::uintptr_t address = 0;  // as in the file
  std::string cfa, fp, ra;     // empty if there is no such column
};

// `fp`: the frame pointer's name. Rows of functions only, not those that CIEs begin with.
inline std::vector<cfi_row> rows_by_readelf(const std::string& path, const std::string& fp) {
  // N: skips the debug file, which has no such rows. readelf also fails for files that it prints
  // well.
  std::istringstream text(temp_dir().run("readelf -wFN '" + path + "' 2>/dev/null || true"));
  std::vector<cfi_row> rows;
  std::vector<std::string> columns;
  bool function = false;
  for (std::string line; std::getline(text, line);) {
    std::istringstream words(line);
    std::vector<std::string> cells;
    for (std::string word; words >> word;) cells.push_back(word);
    if (line.find(" CIE ") != std::string::npos) function = false;
    if (line.find(" FDE ") != std::string::npos) {
      function = true;
      columns.clear();
    }
    if (!cells.empty() && cells[0] == "LOC") columns = cells;
    if (!function || columns.empty() || cells.size() != columns.size() || cells[0].size() != 16) {
      continue;
    }
    cfi_row r;
    r.address = std::strtoull(cells[0].c_str(), nullptr, 16);
    for (std::size_t i = 1; i < cells.size(); ++i) {
      if (columns[i] == "CFA") r.cfa = cells[i];
      if (columns[i] == fp) r.fp = cells[i];
      if (columns[i] == "ra") r.ra = cells[i];
    }
    rows.push_back(r);
  }
  return rows;
}

}  // namespace whence_tests

#endif  // WHENCE_TESTS_UNWIND_READELF_ROWS_HPP
