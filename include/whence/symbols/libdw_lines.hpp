// SPDX-License-Identifier: Apache-2.0
//
// Lines and inlined frames of one file by libdw (elfutils). The unit that an address is in is found
// by a table of all units' addresses; the unit is then read once, into tables. All of it is in
// memory that goes back to the kernel with the object: see debug_image.hpp and dwarf_file.hpp.
//
// The files may be anything. Every walk is bounded, and what was not read is told by missing().
// Not thread-safe. For readers: it allocates and opens files.
#ifndef WHENCE_SYMBOLS_LIBDW_LINES_HPP
#define WHENCE_SYMBOLS_LIBDW_LINES_HPP

#include <dwarf.h>
#include <elf.h>
#include <elfutils/libdw.h>
#include <link.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <whence/symbols/debug_image.hpp>
#include <whence/symbols/dwarf_file.hpp>
#include <whence/symbols/dwarf_names.hpp>
#include <whence/symbols/dwarf_ranges.hpp>
#include <whence/symbols/dwarf_scopes.hpp>
#include <whence/symbols/elf.hpp>
#include <whence/symbols/lines.hpp>
#include <whence/symbols/split_units.hpp>
#include <whence/sys/errno_guard.hpp>
#include <whence/sys/mapped_array.hpp>
#include <whence/sys/sequence.hpp>

namespace whence::inline v1::symbols {

class libdw_lines {
 public:
  // `file`: the module's file, `debug`: what was stripped from it, or -1. Both are the caller's, who
  // knows that they are the right ones, and stay open as long as this lives. `path`: the module's.
  libdw_lines(int file, int debug, const std::string& path) : path_(path), split_(path) {
    const sys::errno_guard keep;
    try {
      begin(file, debug);
    } catch (const std::bad_alloc&) {
      note("no memory to read debug information");
      units_at_.release();
    }
  }
  libdw_lines(const libdw_lines&) = delete;
  libdw_lines& operator=(const libdw_lines&) = delete;

  // Frames at an address of the file, innermost inlined one first; empty if unknown.
  std::vector<source_line> find(std::uint64_t address) {
    const sys::errno_guard keep;
    try {
      std::vector<source_line> frames;
      std::uint32_t looked = 0;
      // Units overlap if a linker folded equal functions: the first that knows it tells.
      for (std::size_t i = after(address); i > 0 && looked < most_overlapping; ++looked) {
        const unit_range& r = units_at_[--i];
        if (address >= r.high) continue;
        frames = frames_in(r.unit, address);
        if (!frames.empty()) break;
      }
      return frames;
    } catch (const std::bad_alloc&) {
      forget();
      note("no memory to read debug information");
      return {};
    }
  }

  // What is missing, in words; empty: nothing.
  std::string_view missing() const noexcept { return missing_; }

 private:
  static constexpr std::uint32_t most_overlapping = 16;
  static constexpr std::size_t most_table_bytes = std::size_t{64} << 20;

  struct unit_range {
    std::uint64_t low, high;
    std::uint32_t unit;
  };
  struct code {
    std::uint64_t low, high;
  };
  struct part {
    std::uint32_t begin = 0, end = 0;
  };
  struct unit_tables {
    bool read = false;
    part steps, rows;
  };

  void note(std::string_view what) {
    if (what.empty() || missing_.find(what) != std::string::npos || missing_.size() > 1000) return;
    if (!missing_.empty()) missing_ += "; ";
    missing_ += what;
  }

  // ---- opening

  void begin(int descriptor, int debug) {
    const borrowed_file own(descriptor);
    const elf own_elf(own);
    read_code(own);
    std::string why;
    bool found = false;
    if (debug >= 0) found = open(debug, why);
    if (!found) found = open(descriptor, why);
    note(why);
    if (!found) return;
    const bool whole = main_.list_units(0, [this](dwarf_unit& u, ::Dwarf_Die& root) { add(u, root); });
    if (!whole) note("the list of units is damaged");
    sys::sort(units_at_, [](const unit_range& a, const unit_range& b) { return a.low < b.low; });
    tables_of_.resize(main_.units().size());
  }

  bool open(int descriptor, std::string& why) {
    const borrowed_file source(descriptor);
    const elf file(source);
    if (!main_.image.read(source, file, false, why)) return false;
    std::string where = path_of_descriptor(descriptor);
    if (!where.starts_with('/')) where = path_;
    supplement_ = find_supplement(source, file, where, why);
    return true;
  }

  // Where code can be: what a linker left out has addresses that are nowhere.
  void read_code(const byte_source& source) {
    ElfW(Ehdr) header;
    if (!source.read_value(0, header) || header.e_phentsize != sizeof(ElfW(Phdr))) return;
    for (std::uint64_t i = 0; i < header.e_phnum; ++i) {
      ElfW(Phdr) segment;
      if (!source.read_value(header.e_phoff + i * sizeof segment, segment)) return;
      if (segment.p_type != PT_LOAD || (segment.p_flags & PF_X) == 0) continue;
      code_.push_back({segment.p_vaddr, segment.p_vaddr + segment.p_memsz});
    }
  }

  bool is_code(std::uint64_t address) const noexcept {
    for (const code& c : code_) {
      if (address >= c.low && address < c.high) return true;
    }
    return false;
  }

  void add(dwarf_unit& u, ::Dwarf_Die& root) {
    note_split_id(u, root);
    u.addr_base = first_of(root, DW_AT_addr_base, DW_AT_GNU_addr_base);
    u.ranges_base = constant_of(root, DW_AT_GNU_ranges_base).value_or(0);
    u.rnglists_base = first_of(root, DW_AT_rnglists_base, DW_AT_rnglists_base);
    ::Dwarf_Attribute a;
    u.has_lines = has_attribute(root, DW_AT_stmt_list, a);
    u.is_skeleton = has_attribute(root, DW_AT_dwo_name, a) || has_attribute(root, DW_AT_GNU_dwo_name, a);
    const address_source addresses{&main_, &u};
    if (has_attribute(root, DW_AT_low_pc, a)) u.low_pc = address_of(main_, a, addresses).value_or(0);
    const auto number = static_cast<std::uint32_t>(main_.units().size());
    const range_reader ranges{main_, u, addresses};
    ranges.each(root, [&](std::uint64_t low, std::uint64_t high) {
      if (is_code(low)) units_at_.push_back({low, high, number});
    });
  }

  static std::uint64_t first_of(::Dwarf_Die& die, unsigned name, unsigned other) {
    if (const auto value = constant_of(die, name)) return *value;
    return constant_of(die, other).value_or(0);
  }

  std::size_t after(std::uint64_t address) const {
    return sys::first_after(units_at_,
                            [address](const unit_range& r) { return address < r.low; });
  }

  // ---- reading a unit

  void forget() noexcept {
    tables_.release();
    for (unit_tables& t : tables_of_) t = {};
  }

  const unit_tables& tables_of(std::uint32_t unit) {
    unit_tables& t = tables_of_[unit];
    if (t.read) return t;
    if (tables_.bytes() > most_table_bytes) forget();
    t.read = true;
    t.rows.begin = t.rows.end = static_cast<std::uint32_t>(tables_.rows.size());
    t.steps.begin = t.steps.end = static_cast<std::uint32_t>(tables_.steps.size());
    dwarf_names names(supplement_.get());
    dwarf_names::place root;
    if (!names.root(main_, unit, root)) {
      note("a unit is damaged");
      return t;
    }
    const dwarf_unit& u = main_.units()[unit];
    folder_.clear();
    (void)dwarf_names::text_of(root.die, DW_AT_comp_dir, folder_);
    std::vector<text_piece> files;
    add_rows(root, files);
    t.rows.end = static_cast<std::uint32_t>(tables_.rows.size());
    if (!u.is_skeleton) {
      add_scopes(names, root, files, u);
    } else if (const auto split = split_of(root, u)) {
      dwarf_names::place split_root;
      if (names.root(*split->file, split->unit, split_root)) {
        std::vector<text_piece> split_files;
        add_scopes(names, split_root, split_files, u);
      }
    }
    t.steps.end = static_cast<std::uint32_t>(tables_.steps.size());
    names.close();
    split_.release();
    return t;
  }

  std::optional<split_unit> split_of(dwarf_names::place& root, const dwarf_unit& u) {
    std::string name;
    if (!dwarf_names::text_of(root.die, DW_AT_dwo_name, name)) {
      (void)dwarf_names::text_of(root.die, DW_AT_GNU_dwo_name, name);
    }
    std::string why;
    const auto found = split_.find(u.split_id, name, folder_, why);
    note(why);
    return found;
  }

  void add_scopes(dwarf_names& names, dwarf_names::place& root, std::vector<text_piece>& files,
                  const dwarf_unit& skeleton) {
    const std::size_t first = tables_.scopes.size();
    const range_reader ranges{*root.file, root.file->units()[root.unit], {&main_, &skeleton}};
    if (!scope_builder(tables_, names, ranges).add(root)) {
      note("the scopes of a unit are damaged");
    }
    ::Dwarf_Files* all = nullptr;
    std::size_t count = 0;
    if (::dwarf_getsrcfiles(&root.die, &all, &count) != 0) count = 0;
    for (std::size_t i = first; i < tables_.scopes.size(); ++i) {
      scope& s = tables_.scopes[i];
      s.call_place = s.call_file < count ? file_text(files, all, s.call_file) : text_piece{};
    }
  }

  text_piece file_text(std::vector<text_piece>& files, ::Dwarf_Files* all, std::size_t number) {
    if (number >= files.size()) files.resize(number + 1);
    if (files[number].length == 0) {
      const char* const name = ::dwarf_filesrc(all, number, nullptr, nullptr);
      if (name == nullptr) return {};
      files[number] = *name == '/' || folder_.empty() ? tables_.add_text(name)
                                                      : tables_.add_text(folder_ + "/" + name);
    }
    return files[number];
  }

  void add_rows(dwarf_names::place& root, std::vector<text_piece>& files) {
    ::Dwarf_Lines* lines = nullptr;
    std::size_t count = 0;
    if (::dwarf_getsrclines(&root.die, &lines, &count) != 0) return;
    for (std::size_t i = 0; i < count; ++i) {
      ::Dwarf_Line* const line = ::dwarf_onesrcline(lines, i);
      line_row row{};
      bool ends = false;
      int number = 0;
      int column = 0;
      ::Dwarf_Addr address = 0;
      ::Dwarf_Files* all = nullptr;
      std::size_t file = 0;
      if (::dwarf_lineaddr(line, &address) != 0 || ::dwarf_lineendsequence(line, &ends) != 0 ||
          (!ends && !is_code(address))) {
        continue;
      }
      row.address = address;
      if (ends) {
        row.ends = true;
      } else {
        if (::dwarf_lineno(line, &number) == 0 && number > 0) row.line = static_cast<std::uint32_t>(number);
        if (::dwarf_linecol(line, &column) == 0 && column > 0) row.column = static_cast<std::uint32_t>(column);
        if (::dwarf_line_file(line, &all, &file) == 0) row.file = file_text(files, all, file);
      }
      tables_.rows.push_back(row);
    }
  }

  // ---- answering

  std::vector<source_line> frames_in(std::uint32_t unit, std::uint64_t address) {
    const unit_tables& t = tables_of(unit);
    const line_row* const row = row_at(t, address);
    std::uint32_t at = scope_at(t, address);
    std::vector<source_line> frames;
    if (row == nullptr && at == no_scope) return frames;
    source_line* l = &frames.emplace_back();
    if (row != nullptr) {
      l->file = tables_.text_of(row->file);
      l->line = row->line;
      l->column = row->column;
    }
    while (at != no_scope) {
      const scope& s = tables_.scopes[at];
      const scope_name& n = tables_.names[s.name];
      l->function = tables_.text_of(n.text);
      l->linker_name = n.linker_name;
      l->start_line = n.start_line;
      at = s.around;
      if (at == no_scope) break;
      l = &frames.emplace_back();
      l->file = tables_.text_of(s.call_place);
      l->line = s.call_line;
      l->column = s.call_column;
    }
    return frames;
  }

  const line_row* row_at(const unit_tables& t, std::uint64_t address) const {
    std::size_t low = t.rows.begin;
    for (std::size_t count = t.rows.end - t.rows.begin; count > 0;) {
      const std::size_t half = count / 2;
      if (address < tables_.rows[low + half].address) {
        count = half;
      } else {
        low += half + 1;
        count -= half + 1;
      }
    }
    if (low == t.rows.begin || tables_.rows[low - 1].ends) return nullptr;
    return &tables_.rows[low - 1];
  }

  std::uint32_t scope_at(const unit_tables& t, std::uint64_t address) const {
    std::size_t low = t.steps.begin;
    for (std::size_t count = t.steps.end - t.steps.begin; count > 0;) {
      const std::size_t half = count / 2;
      if (address < tables_.steps[low + half].address) {
        count = half;
      } else {
        low += half + 1;
        count -= half + 1;
      }
    }
    return low == t.steps.begin ? no_scope : tables_.steps[low - 1].scope;
  }

  std::string path_;
  std::string missing_;
  std::vector<code> code_;
  dwarf_file main_;
  std::unique_ptr<dwarf_file> supplement_;
  split_units split_;
  sys::mapped_array<unit_range> units_at_;
  std::vector<unit_tables> tables_of_;
  scope_tables tables_;
  std::string folder_;  // that the unit being read was compiled in
};

}  // namespace whence::inline v1::symbols

#endif  // WHENCE_SYMBOLS_LIBDW_LINES_HPP
