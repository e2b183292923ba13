// SPDX-License-Identifier: Apache-2.0
//
// The line table of a unit: its files, and its rows. (DWARF 5, section 6.2; versions 2 to 5)
//
//   | length | version, 2 | header length | ... | directories | files | program |
//
// libdw reads it as well, at 112 bytes a row in two allocations, completely even for one file's
// name, partly on the stack, and leaves the rows of discarded functions among the others. A row
// here is 16 bytes, and discarded functions are recognized by their start.
#ifndef WHENCE_SYMBOLS_LINE_PROGRAM_HPP
#define WHENCE_SYMBOLS_LINE_PROGRAM_HPP

#include <dwarf.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include <whence/symbols/debug_image.hpp>
#include <whence/symbols/dwarf_file.hpp>
#include <whence/sys/algorithms.hpp>
#include <whence/sys/mapped_array.hpp>

namespace whence::inline v1::symbols {

template <class = void>
class basic_line_program {
 public:
  // `at`: DW_AT_stmt_list. `folder`: DW_AT_comp_dir. Throws: std::bad_alloc.
  basic_line_program(const dwarf_file& file, const dwarf_unit& unit, std::uint64_t at,
                     std::string_view folder)
      : section_(file.section(debug_section::line, unit)),
        str_(file.section(debug_section::str, unit)),
        line_str_(file.section(debug_section::line_str, unit)),
        folder_(folder) {
    good_ = read_header(at);
  }

  // False if it is damaged, or of an unknown version.
  bool good() const noexcept { return good_; }

  // The path of a file by its number; empty if the number is invalid.
  std::string file(std::uint64_t number) const {
    const std::uint64_t at = version_ < 5 ? number - 1 : number;
    if (at >= files_.size()) return {};
    const entry& f = files_[at];
    std::string name(f.text());
    if (name.empty() || name.front() == '/') return name;
    std::string_view within = folder_;
    if (version_ >= 5 || f.folder != 0) {
      const std::uint64_t d = version_ < 5 ? f.folder - 1 : f.folder;
      if (d < folders_.size()) within = folders_[d].text();
    }
    std::string path;
    if (!within.starts_with('/') && !folder_.empty()) path.append(folder_).append("/");
    path.append(within);
    if (!path.empty()) path += '/';
    return path + name;
  }

  // Calls row(address, file, line, column) for each row, and ends(address) after the last one of a
  // sequence. False if it is damaged; the rows so far are good.
  template <class Row, class Ends>
  bool run(Row row, Ends ends) const {
    if (!good_ || line_range_ == 0) return false;
    const std::span<const std::byte> code = section_.first(end_);
    registers r;
    for (std::uint64_t at = program_; at < end_;) {
      const auto opcode = std::to_integer<unsigned>(code[at++]);
      if (opcode >= opcode_base_) {
        const unsigned adjusted = opcode - opcode_base_;
        r.address += std::uint64_t{adjusted / line_range_} * least_instruction_;
        r.line += static_cast<std::uint32_t>(line_base_ + static_cast<int>(adjusted % line_range_));
        row(r.address, r.file, r.line, r.column);
      } else if (opcode == 0) {
        const auto length = uleb_at(code, at);
        if (!length || *length == 0 || *length > end_ - at) return false;
        extended(code, at, *length, r, ends);
        at += *length;
      } else if (!standard(code, at, opcode, r, row)) {
        return false;
      }
    }
    return true;
  }

 private:
  static constexpr std::uint32_t longest_path = 16384;

  struct entry {
    const char* name = nullptr;
    std::uint32_t length = 0;
    std::uint32_t folder = 0;

    // At most as long as a path may be: thousands of files may have one folder.
    std::string_view text() const noexcept {
      return {name, length < longest_path ? length : longest_path};
    }
  };
  struct registers {
    std::uint64_t address = 0;
    std::uint64_t file = 1;
    std::uint32_t line = 1;
    std::uint32_t column = 0;
  };

  template <class Row>
  bool standard(std::span<const std::byte> code, std::uint64_t& at, unsigned opcode, registers& r,
                Row row) const {
    switch (opcode) {
      case DW_LNS_copy:
        row(r.address, r.file, r.line, r.column);
        return true;
      case DW_LNS_advance_pc: {
        const auto by = uleb_at(code, at);
        r.address += by.value_or(0) * least_instruction_;
        return by.has_value();
      }
      case DW_LNS_advance_line: {
        const auto by = sleb_at(code, at);
        r.line += static_cast<std::uint32_t>(by.value_or(0));
        return by.has_value();
      }
      case DW_LNS_set_file: {
        const auto file = uleb_at(code, at);
        r.file = file.value_or(0);
        return file.has_value();
      }
      case DW_LNS_set_column: {
        const auto column = uleb_at(code, at);
        r.column = static_cast<std::uint32_t>(column.value_or(0));
        return column.has_value();
      }
      case DW_LNS_const_add_pc:
        r.address += std::uint64_t{(255 - opcode_base_) / line_range_} * least_instruction_;
        return true;
      case DW_LNS_fixed_advance_pc: {
        const auto by = number_at(code, at, 2);
        r.address += by.value_or(0);
        at += 2;
        return by.has_value();
      }
      default:  // not needed here; the header gives the number of operands
        for (unsigned i = 0; i < operands_[opcode]; ++i) {
          if (!uleb_at(code, at)) return false;
        }
        return true;
    }
  }

  template <class Ends>
  void extended(std::span<const std::byte> code, std::uint64_t at, std::uint64_t length,
                registers& r, Ends ends) const {
    const auto opcode = std::to_integer<unsigned>(code[at]);
    if (opcode == DW_LNE_end_sequence) {
      ends(r.address);
      r = {};
    } else if (opcode == DW_LNE_set_address && length - 1 <= 8) {
      r.address = number_at(code, at + 1, length - 1).value_or(0);
    }
  }

  static std::optional<std::int64_t> sleb_at(std::span<const std::byte> section,
                                             std::uint64_t& at) noexcept {
    std::uint64_t value = 0;
    for (unsigned shift = 0; at < section.size() && shift < 64;) {
      const auto byte = std::to_integer<std::uint64_t>(section[at++]);
      value |= (byte & 0x7f) << shift;
      shift += 7;
      if ((byte & 0x80) != 0) continue;
      if ((byte & 0x40) != 0 && shift < 64) value |= ~std::uint64_t{0} << shift;
      return static_cast<std::int64_t>(value);
    }
    return std::nullopt;
  }

  bool read_header(std::uint64_t at) {
    auto length = number_at(section_, at, 4);
    at += 4;
    if (length == 0xffffffff) {
      offset_bytes_ = 8;
      length = number_at(section_, at, 8);
      at += 8;
    }
    if (!length || at > section_.size() || *length > section_.size() - at) return false;
    end_ = at + *length;
    const std::span<const std::byte> table = section_.first(end_);
    const auto byte = [&table, &at] { return number_at(table, at++, 1).value_or(0); };
    version_ = static_cast<unsigned>(number_at(table, at, 2).value_or(0));
    at += 2;
    if (version_ < 2 || version_ > 5) return false;
    if (version_ >= 5) at += 2;  // sizes of addresses and segments
    const auto header = number_at(table, at, offset_bytes_);
    at += offset_bytes_;
    if (!header || at > end_ || *header > end_ - at) return false;
    program_ = at + *header;
    least_instruction_ = byte();
    if (version_ >= 4) ++at;  // operations of an instruction: one on these machines
    ++at;                     // tells whether a row starts a statement
    const auto base = static_cast<int>(byte());
    line_base_ = base > 127 ? base - 256 : base;  // a signed byte
    line_range_ = static_cast<unsigned>(byte());
    opcode_base_ = static_cast<unsigned>(byte());
    for (unsigned i = 1; i < opcode_base_; ++i) operands_[i] = static_cast<unsigned char>(byte());
    if (opcode_base_ == 0 || at > program_) return false;
    const std::span<const std::byte> names = section_.first(program_);
    return version_ < 5 ? read_old_names(names, at)
                        : read_names(names, at, folders_) && read_names(names, at, files_);
  }

  static entry text_at(std::span<const std::byte> section, std::uint64_t at) noexcept {
    if (at >= section.size()) return {};
    const auto* const text = reinterpret_cast<const char*>(section.data()) + at;
    return {text, static_cast<std::uint32_t>(::strnlen(text, section.size() - at)), 0};
  }

  // The same, but reads no more than the longest path.
  static entry path_at(std::span<const std::byte> section, std::uint64_t at) noexcept {
    if (at >= section.size()) return {};
    section = section.subspan(at);
    return text_at(section.first(sys::least<std::size_t>(section.size(), longest_path)), 0);
  }

  // | text, zero | ... | zero | text, zero | folder | time | size | ... | zero |
  bool read_old_names(std::span<const std::byte> names, std::uint64_t at) {
    for (const bool of_files : {false, true}) {
      for (;;) {
        if (at >= names.size()) return false;
        entry e = text_at(names, at);
        at += e.length + std::uint64_t{1};
        if (e.length == 0) break;
        if (of_files) {
          e.folder = static_cast<std::uint32_t>(uleb_at(names, at).value_or(0));
          if (!uleb_at(names, at) || !uleb_at(names, at)) return false;
        }
        (of_files ? files_ : folders_).push_back(e);
      }
    }
    return true;
  }

  // | number of columns, 1 | content and form of each | number of rows | rows |
  bool read_names(std::span<const std::byte> names, std::uint64_t& at,
                  sys::mapped_array<entry>& to) {
    struct column {
      std::uint64_t content, form;
    };
    std::array<column, 255> columns;
    const auto count = static_cast<std::size_t>(number_at(names, at++, 1).value_or(0));
    for (std::size_t i = 0; i < count; ++i) {
      const auto content = uleb_at(names, at);
      const auto form = uleb_at(names, at);
      if (!content || !form) return false;
      columns[i] = {*content, *form};
    }
    const auto rows = uleb_at(names, at);
    // Each entry takes at least a byte.
    if (!rows || (*rows != 0 && count == 0) || *rows > names.size()) return false;
    for (std::uint64_t i = 0; i < *rows; ++i) {
      entry e;
      for (std::size_t c = 0; c < count; ++c) {
        if (!read_field(names, at, columns[c].content, columns[c].form, e)) return false;
      }
      to.push_back(e);
    }
    return true;
  }

  bool read_field(std::span<const std::byte> names, std::uint64_t& at, std::uint64_t content,
                  std::uint64_t form, entry& e) const {
    std::optional<std::uint64_t> number;
    entry text;
    switch (form) {
      case DW_FORM_string:
        if (at >= names.size()) return false;
        text = text_at(names, at);
        at += text.length + std::uint64_t{1};
        break;
      case DW_FORM_line_strp:
      case DW_FORM_strp:
        number = number_at(names, at, offset_bytes_);
        at += offset_bytes_;
        if (!number) return false;
        text = path_at(form == DW_FORM_strp ? str_ : line_str_, *number);
        break;
      case DW_FORM_udata:
      case DW_FORM_strx:
        number = uleb_at(names, at);
        if (!number) return false;
        break;
      case DW_FORM_block: {
        const auto size = uleb_at(names, at);
        if (!size || *size > names.size()) return false;
        at += *size;
        break;
      }
      case DW_FORM_data1:
      case DW_FORM_strx1:
        number = number_at(names, at++, 1);
        break;
      case DW_FORM_data2:
      case DW_FORM_strx2:
        number = number_at(names, at, 2);
        at += 2;
        break;
      case DW_FORM_data4:
      case DW_FORM_strx4:
        number = number_at(names, at, 4);
        at += 4;
        break;
      case DW_FORM_data8:
        number = number_at(names, at, 8);
        at += 8;
        break;
      case DW_FORM_data16:
        at += 16;
        break;
      default:
        return false;
    }
    if (at > names.size()) return false;
    if (content == DW_LNCT_path && text.name != nullptr) {
      e.name = text.name;
      e.length = text.length;
    } else if (content == DW_LNCT_directory_index) {
      e.folder = static_cast<std::uint32_t>(number.value_or(0));
    }
    return true;
  }

  std::span<const std::byte> section_, str_, line_str_;
  std::string_view folder_;
  bool good_ = false;
  unsigned version_ = 0;
  unsigned offset_bytes_ = 4;
  std::uint64_t program_ = 0;  // where it is in the section
  std::uint64_t end_ = 0;
  std::uint64_t least_instruction_ = 1;
  int line_base_ = 0;
  unsigned line_range_ = 1;
  unsigned opcode_base_ = 1;
  std::array<unsigned char, 256> operands_{};
  sys::mapped_array<entry> folders_, files_;
};
using line_program = basic_line_program<>;

}  // namespace whence::inline v1::symbols

#endif  // WHENCE_SYMBOLS_LINE_PROGRAM_HPP
