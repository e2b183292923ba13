// SPDX-License-Identifier: Apache-2.0
//
// Aligns columns like Go's text/tabwriter with (minwidth 1, tabwidth 8, padding 1, '\t', 0), so
// that text profiles equal Go's byte for byte.
//
// A tab ends a cell; text after a line's last tab belongs to no column. Consecutive lines with a
// cell in a column share its width: the widest cell plus 1, rounded up to tab stops. So an inner
// column begins anew after each interruption of an outer one.
#ifndef WHENCE_FORMAT_TABWRITER_HPP
#define WHENCE_FORMAT_TABWRITER_HPP

#include <cstddef>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <whence/format/utf8.hpp>
#include <whence/sys/sequence.hpp>

namespace whence::inline v1::format {

// Requires: the text consists of whole lines.
template <class = void>
class basic_tabwriter {
 public:
  explicit basic_tabwriter(std::string& out) : out_(out) {}

  void write(std::string_view text) {
    while (!text.empty()) {
      const std::size_t end = text.find('\n');
      add_line(text.substr(0, end));
      text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
    }
  }

  // Writes the lines that were held back until their widths were known.
  void flush() {
    format(0, lines_.size());
    lines_.clear();
  }

 private:
  using cells = std::vector<std::string>;
  static constexpr std::size_t tab = 8;
  static constexpr std::size_t padding = 1;

  void add_line(std::string_view text) {
    cells line;
    for (std::size_t end = text.find('\t'); end != std::string_view::npos; end = text.find('\t')) {
      line.emplace_back(text.substr(0, end));
      text.remove_prefix(end + 1);
    }
    line.emplace_back(text);
    lines_.push_back(std::move(line));
    // A line without columns ends every block.
    if (lines_.back().size() == 1) flush();
  }

  bool has_cell(std::size_t line, std::size_t column) const {
    return column + 1 < lines_[line].size();
  }

  // Formats lines [from, to), whose first widths_.size() columns are known.
  void format(std::size_t from, std::size_t to) {
    const std::size_t column = widths_.size();
    while (from < to) {
      std::size_t end = from;
      if (!has_cell(from, column)) {
        while (end < to && !has_cell(end, column)) print(lines_[end++]);
      } else {
        std::size_t width = 1;
        for (; end < to && has_cell(end, column); ++end) {
          width = sys::most(width, utf8_count(lines_[end][column]) + padding);
        }
        widths_.push_back(width);
        format(from, end);
        widths_.pop_back();
      }
      from = end;
    }
  }

  void print(const cells& line) {
    for (std::size_t i = 0; i < line.size(); ++i) {
      out_ += line[i];
      if (i >= widths_.size()) continue;
      const std::size_t width = (widths_[i] + tab - 1) / tab * tab;
      out_.append((width - utf8_count(line[i]) + tab - 1) / tab, '\t');
    }
    out_ += '\n';
  }

  std::string& out_;
  std::vector<cells> lines_;
  std::vector<std::size_t> widths_;
};
using tabwriter = basic_tabwriter<>;

}  // namespace whence::inline v1::format

#endif  // WHENCE_FORMAT_TABWRITER_HPP
