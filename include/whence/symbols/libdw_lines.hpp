// SPDX-License-Identifier: Apache-2.0
//
// Lines and inlined frames of one file by libdw (elfutils). A table of all units' addresses gives
// the unit of an address, which is then read once, into tables. All memory is returned to the
// kernel with the object: see debug_image.hpp and dwarf_file.hpp.
//
// The files may be damaged. Every walk is bounded, and missing() says what was not read. Not
// thread-safe. For readers: it allocates and opens files.
#ifndef WHENCE_SYMBOLS_LIBDW_LINES_HPP
#define WHENCE_SYMBOLS_LIBDW_LINES_HPP

#include <dwarf.h>
#include <elfutils/libdw.h>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>

#include <whence/symbols/code_segments.hpp>
#include <whence/symbols/debug_image.hpp>
#include <whence/symbols/dwarf_file.hpp>
#include <whence/symbols/dwarf_names.hpp>
#include <whence/symbols/dwarf_ranges.hpp>
#include <whence/symbols/dwarf_scopes.hpp>
#include <whence/symbols/elf.hpp>
#include <whence/symbols/line_program.hpp>
#include <whence/symbols/line_tables.hpp>
#include <whence/symbols/lines.hpp>
#include <whence/symbols/split_units.hpp>
#include <whence/sys/algorithms.hpp>
#include <whence/sys/errno_guard.hpp>
#include <whence/sys/mapped_array.hpp>
#include <whence/sys/out_of_memory.hpp>
#include <whence/sys/owner.hpp>
#include <whence/sys/vector.hpp>

namespace whence::inline v1::symbols {

template <class = void>
class basic_libdw_lines {
 public:
  // `file`: the module's file; `debug`: the file with its stripped parts, or -1. The caller opens
  // both, knows that they are the right ones, and keeps them open as long as this lives. `path`:
  // the module's.
  basic_libdw_lines(int file, int debug, const std::string& path) : path_(path), split_(path) {
    const sys::errno_guard keep;
    sys::or_if_out_of_memory([&] { begin(file, debug); },
                             [this] {
                               no_memory();
                               units_at_.release();
                             });
  }
  basic_libdw_lines(const basic_libdw_lines&) = delete;
  basic_libdw_lines& operator=(const basic_libdw_lines&) = delete;

  // Frames at an address of the file, innermost inlined one first; empty if unknown.
  sys::vector<source_line> find(std::uint64_t address) {
    const sys::errno_guard keep;
    return sys::or_if_out_of_memory([&] { return find_in_units(address); },
                                    [this] {
                                      forget();
                                      no_memory();
                                      return sys::vector<source_line>();
                                    });
  }

  // What is missing, in words; empty if everything was read. find() may add to it.
  std::string_view missing() const noexcept { return missing_; }
  // True if a later attempt may succeed: memory was exhausted, or descriptors.
  bool may_pass() const noexcept { return may_pass_ || split_.may_pass(); }

 private:
  sys::vector<source_line> find_in_units(std::uint64_t address) {
    sys::vector<source_line> frames;
    std::uint32_t looked = 0;
    // Units overlap if a linker folded equal functions: the first one that knows the address
    // answers.
    for (std::size_t i = after(address); i > 0 && looked < most_overlapping; ++looked) {
      const unit_range& r = units_at_[--i];
      if (address >= r.high) continue;
      frames = frames_in(r.unit, address);
      if (!frames.empty()) break;
    }
    return frames;
  }

  static constexpr std::uint32_t most_overlapping = 16;
  static constexpr std::size_t least_tables = std::size_t{16} << 20;

  struct unit_range {
    std::uint64_t low, high;
    std::uint32_t unit;
  };
  struct unit_tables {
    table_part steps, rows;
    bool read = false;
  };

  void note(std::string_view what) {
    if (what.empty() || missing_.find(what) != std::string::npos || missing_.size() > 1000) return;
    if (!missing_.empty()) missing_ += "; ";
    missing_ += what;
  }

  void no_memory() {
    may_pass_ = true;
    note("no memory to read debug information");
  }

  // ---- opening

  // What the system refuses to read is missing only now.
  void note_reads(const byte_source& source) {
    if (source.error() == 0) return;
    may_pass_ = true;
    note("debug information could not be read: " + std::generic_category().message(source.error()));
  }

  void begin(int descriptor, int debug) {
    const borrowed_file own(descriptor);
    read_code(own);
    note_reads(own);
    std::string why;
    bool found = false;
    if (debug >= 0) found = open(debug, why);
    if (!found) found = open(descriptor, why);
    note(why);
    if (!found) return;
    const bool whole =
        main_.list_units(0, [this](dwarf_unit& u, ::Dwarf_Die& root) { add(u, root); });
    if (!whole) note("the list of units is damaged");
    sys::sort(units_at_, [](const unit_range& a, const unit_range& b) { return a.low < b.low; });
    tables_of_.resize(main_.units().size());
  }

  bool open(int descriptor, std::string& why) {
    const borrowed_file source(descriptor);
    const elf file(source);
    const bool read = main_.image.read(source, file, false, why);
    may_pass_ = may_pass_ || main_.image.lacks_memory();
    if (read) {
      std::string where = path_of_descriptor(descriptor);
      if (!where.starts_with('/')) where = path_;
      supplement_ = find_supplement(source, file, where, why, may_pass_);
    }
    note_reads(source);
    return read;
  }

  // Functions that a linker left out have addresses outside of the code.
  void read_code(const byte_source& source) {
    code_ = code_segments(source);
    tables_.low = code_.low();
    tables_.high = code_.high();
  }

  void add(dwarf_unit& u, ::Dwarf_Die& root) {
    note_split_id(u, root);
    u.addr_base = first_of(root, DW_AT_addr_base, DW_AT_GNU_addr_base);
    u.ranges_base = constant_of(root, DW_AT_GNU_ranges_base).value_or(0);
    u.rnglists_base = first_of(root, DW_AT_rnglists_base, DW_AT_rnglists_base);
    ::Dwarf_Attribute a;
    u.has_lines = has_attribute(root, DW_AT_stmt_list, a);
    u.is_skeleton =
        has_attribute(root, DW_AT_dwo_name, a) || has_attribute(root, DW_AT_GNU_dwo_name, a);
    const address_source addresses{&main_, &u};
    if (has_attribute(root, DW_AT_low_pc, a))
      u.low_pc = address_of(main_, a, addresses).value_or(0);
    const auto number = static_cast<std::uint32_t>(main_.units().size());
    const range_reader ranges{main_, u, addresses, ranges_left_};
    function_attributes extent(root);
    ranges.each(extent, [&](std::uint64_t low, std::uint64_t high) {
      if (code_.hold(low)) units_at_.push_back({low, high, number});
    });
    ranges_left_ = ranges.left;
  }

  static std::uint64_t first_of(::Dwarf_Die& die, unsigned name, unsigned other) {
    if (const auto value = constant_of(die, name)) return *value;
    return constant_of(die, other).value_or(0);
  }

  std::size_t after(std::uint64_t address) const {
    return sys::first_after(units_at_, [address](const unit_range& r) { return address < r.low; });
  }

  // ---- reading a unit

  void forget() noexcept {
    tables_.release();
    for (unit_tables& t : tables_of_) t = {};
  }

  const unit_tables& tables_of(std::uint32_t unit) {
    unit_tables& t = tables_of_[unit];
    if (t.read) return t;
    // Tables take a quarter of their sources' size; if they grow beyond it, they are made again.
    if (tables_.bytes() > sys::most(least_tables, main_.image.size() / 2)) forget();
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
    line_reader lines(*this, root);
    lines.add_rows();
    t.rows.end = static_cast<std::uint32_t>(tables_.rows.size());
    if (!u.is_skeleton) {
      add_scopes(names, root, lines, u);
    } else if (const auto split = split_of(root, u)) {
      dwarf_names::place split_root;
      if (names.root(*split->file, split->unit, split_root)) {
        names.use_files_of(main_, u, line_table_of(main_, root.die));
        line_reader files(*this, split_root);
        add_scopes(names, split_root, files.good() ? files : lines, u);
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

  // The line table of a unit, and the numbers that its files have here.
  class line_reader {
   public:
    line_reader(basic_libdw_lines& of, dwarf_names::place& root)
        : of_(of),
          program_(*root.file, root.file->units()[root.unit], line_table_of(*root.file, root.die),
                   of.folder_) {}

    bool good() const noexcept { return program_.good(); }

    std::uint32_t file(std::uint64_t number) {
      if (number > most_files) return nameless();
      if (number >= known_.size()) known_.resize(number + 1);
      if (known_[number] == 0) known_[number] = add(program_.file(number)) + 1;
      return known_[number] - 1;
    }

    // A sequence is a function or a section, and stays together; sequences come in any order.
    void add_rows() {
      sys::mapped_array<line_row> rows;
      sys::mapped_array<table_part> sequences;
      const line_tables& t = of_.tables_;
      std::size_t begin = 0;
      std::uint64_t before = 0;
      bool started = false;  // this sequence, dead or not
      bool live = false;
      const auto row = [&](std::uint64_t address, std::uint64_t number, std::uint32_t line,
                           std::uint32_t column) {
        if (!started) live = of_.code_.hold(address);
        started = true;
        const bool first = rows.size() == begin;
        if (!live || (!first && address < before) || !t.holds(address, address + 1)) return;
        before = address;
        const line_row r{t.place_of(address), file(number), line, column};
        if (!first && rows.back().file == r.file && rows.back().line == line &&
            rows.back().column == column)
          return;
        if (!first && rows.back().at == r.at) {
          rows.back() = r;
        } else {
          rows.push_back(r);
        }
      };
      const auto ends = [&](std::uint64_t address) {
        if (rows.size() != begin) {
          if (address >= before && t.holds(address - 1, address)) {
            rows.push_back({t.place_of(address), no_file, 0, 0});
            sequences.push_back(
                {static_cast<std::uint32_t>(begin), static_cast<std::uint32_t>(rows.size())});
          } else {
            rows.resize(begin);
          }
        }
        begin = rows.size();
        started = false;
      };
      if (!program_.run(row, ends)) of_.note("a line table is damaged");
      sys::sort(sequences, [&rows](const table_part& a, const table_part& b) {
        return rows[a.begin].at < rows[b.begin].at;
      });
      std::uint32_t end = 0;
      for (const table_part& s : sequences) {
        // Two sequences at one place: equal functions that the linker merged.
        if (rows[s.begin].at < end) continue;
        of_.tables_.rows.append(rows.data() + s.begin, s.end - s.begin);
        end = rows[s.end - 1].at;
      }
    }

   private:
    static constexpr std::uint64_t most_files = 1'000'000;

    std::uint32_t add(std::string_view path) {
      of_.tables_.files.push_back(of_.tables_.add_text(path));
      return static_cast<std::uint32_t>(of_.tables_.files.size() - 1);
    }
    // The file for numbers that name no file.
    std::uint32_t nameless() {
      if (nameless_ == no_file) nameless_ = add({});
      return nameless_;
    }

    basic_libdw_lines& of_;
    line_program program_;
    sys::mapped_array<std::uint32_t> known_;  // + 1
    std::uint32_t nameless_ = no_file;
  };

  void add_scopes(dwarf_names& names, dwarf_names::place& root, line_reader& files,
                  const dwarf_unit& skeleton) {
    const std::size_t first = tables_.scopes.size();
    const range_reader ranges{*root.file, root.file->units()[root.unit], {&main_, &skeleton}};
    if (!scope_builder(tables_, names, ranges).add(root)) {
      note("the scopes of a unit are damaged");
    }
    for (std::size_t i = first; i < tables_.scopes.size(); ++i) {
      scope& s = tables_.scopes[i];
      if (s.around != no_scope) s.call_file = files.file(s.call_file);
    }
  }

  // ---- answering

  sys::vector<source_line> frames_in(std::uint32_t unit, std::uint64_t address) {
    sys::vector<source_line> frames;
    if (!tables_.holds(address, address + 1)) return frames;
    const unit_tables& t = tables_of(unit);
    const std::uint32_t place = tables_.place_of(address);
    const line_row* row = last_before(tables_.rows, t.rows, place);
    if (row != nullptr && row->file == no_file) row = nullptr;
    const scope_step* const step = last_before(tables_.steps, t.steps, place);
    std::uint32_t at = step != nullptr ? step->scope : no_scope;
    if (row == nullptr && at == no_scope) return frames;
    source_line* l = &frames.emplace_back();
    if (row != nullptr) {
      l->file = tables_.text_of(tables_.files[row->file]);
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
      l->file = tables_.text_of(tables_.files[s.call_file]);
      l->line = s.call_line;
      l->column = s.call_column;
    }
    return frames;
  }

  std::string path_;
  std::string missing_;
  bool may_pass_ = false;
  code_segments code_;
  dwarf_file main_;
  sys::owner<dwarf_file> supplement_;
  split_units split_;
  sys::mapped_array<unit_range> units_at_;
  std::uint64_t ranges_left_ = 20'000'000;  // how many more units_at_ may hold
  sys::mapped_array<unit_tables> tables_of_;
  line_tables tables_;
  std::string folder_;  // in which the current unit was compiled
};
using libdw_lines = basic_libdw_lines<>;

}  // namespace whence::inline v1::symbols

#endif  // WHENCE_SYMBOLS_LIBDW_LINES_HPP
