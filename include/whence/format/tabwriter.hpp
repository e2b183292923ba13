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
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

#include <whence/format/utf8.hpp>
#include <whence/sys/algorithms.hpp>
#include <whence/sys/owner.hpp>
#include <whence/sys/vector.hpp>

namespace whence::inline v1::format {

// A line without its end, with its cells measured: a line that is written often is made once.
class tabbed_line {
 public:
  struct cell {
    std::uint32_t begin, size;
    std::uint32_t width;  // in characters
  };

  explicit tabbed_line(std::string text) : text_(std::move(text)) {
    std::size_t begin = 0;
    for (std::size_t end = text_.find('\t'); end != std::string::npos;
         end = text_.find('\t', begin)) {
      add(begin, end);
      begin = end + 1;
    }
    add(begin, text_.size());
  }

  const sys::vector<cell>& cells() const noexcept { return cells_; }
  std::string_view text(const cell& c) const noexcept {
    return std::string_view(text_).substr(c.begin, c.size);
  }

 private:
  void add(std::size_t begin, std::size_t end) {
    const std::string_view text = std::string_view(text_).substr(begin, end - begin);
    cells_.push_back({static_cast<std::uint32_t>(begin), static_cast<std::uint32_t>(text.size()),
                      static_cast<std::uint32_t>(utf8_count(text))});
  }

  std::string text_;
  sys::vector<cell> cells_;
};

template <class = void>
class basic_tabwriter {
 public:
  explicit basic_tabwriter(std::string& out) : out_(out) {}

  // Requires: the text consists of whole lines.
  void write(std::string_view text) {
    while (!text.empty()) {
      const std::size_t end = text.find('\n');
      own_.push_back(sys::make_owned<tabbed_line>(std::string(text.substr(0, end))));
      write(*own_.back());
      text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
    }
  }

  // Requires: the line lives until the next flush().
  void write(const tabbed_line& line) {
    lines_.push_back(&line);
    // A line without columns ends every block.
    if (line.cells().size() == 1) flush();
  }

  // Writes the lines that were held back until their widths were known.
  void flush() {
    format(0, lines_.size());
    lines_.clear();
    own_.clear();
  }

 private:
  static constexpr std::size_t tab = 8;
  static constexpr std::size_t padding = 1;

  bool has_cell(std::size_t line, std::size_t column) const {
    return column + 1 < lines_[line]->cells().size();
  }

  // Formats lines [from, to), whose first widths_.size() columns are known.
  void format(std::size_t from, std::size_t to) {
    const std::size_t column = widths_.size();
    while (from < to) {
      std::size_t end = from;
      if (!has_cell(from, column)) {
        while (end < to && !has_cell(end, column)) print(*lines_[end++]);
      } else {
        std::size_t width = 1;
        for (; end < to && has_cell(end, column); ++end) {
          width = sys::most(width, lines_[end]->cells()[column].width + padding);
        }
        widths_.push_back(width);
        format(from, end);
        widths_.pop_back();
      }
      from = end;
    }
  }

  void print(const tabbed_line& line) {
    std::size_t column = 0;
    for (const tabbed_line::cell& c : line.cells()) {
      out_ += line.text(c);
      if (column == widths_.size()) break;
      const std::size_t width = (widths_[column++] + tab - 1) / tab * tab;
      out_.append((width - c.width + tab - 1) / tab, '\t');
    }
    out_ += '\n';
  }

  std::string& out_;
  sys::vector<const tabbed_line*> lines_;
  sys::vector<sys::owner<tabbed_line>> own_;  // those that nothing else keeps
  sys::vector<std::size_t> widths_;
};
using tabwriter = basic_tabwriter<>;

}  // namespace whence::inline v1::format

#endif  // WHENCE_FORMAT_TABWRITER_HPP
