// SPDX-License-Identifier: Apache-2.0
//
// The functions of a module by address: the union of .symtab and .dynsym, its own or a debug
// file's, or of the dynamic symbols in memory. Names are read only when they are needed.
//
// A symbol's size gives its end; one of size 0 (hand-written assembly) ends at the next symbol or
// the end of its section. If several have one address, a global name wins, then a weak one.
#ifndef WHENCE_SYMBOLS_SYMBOL_TABLE_HPP
#define WHENCE_SYMBOLS_SYMBOL_TABLE_HPP

#include <elf.h>
#include <link.h>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>

#include <whence/symbols/byte_source.hpp>
#include <whence/symbols/elf.hpp>
#include <whence/sys/algorithms.hpp>
#include <whence/sys/mapped_array.hpp>
#include <whence/sys/vector.hpp>

namespace whence::inline v1::symbols {

template <class = void>
class basic_symbol_table {
 public:
  struct symbol {
    std::uint64_t start = 0;
    std::uint64_t end = 0;
    std::string name;  // mangled, without its version
  };

  // Where symbols and their names are in a source.
  struct place {
    std::uint64_t symbols, count, names, name_bytes;
  };

  basic_symbol_table() = default;
  basic_symbol_table(const basic_symbol_table&) = delete;
  basic_symbol_table& operator=(const basic_symbol_table&) = delete;

  // Adds the functions of a file, which must outlive the table. The addresses are those at which
  // the file was linked.
  void add(const byte_source& source, const elf& file) {
    // A file has one of each (gABI); a damaged one with thousands would be read thousands of times.
    for (const unsigned type : {unsigned{SHT_SYMTAB}, unsigned{SHT_DYNSYM}}) {
      for (const elf::section& s : file.sections()) {
        if (s.sh_type != type) continue;
        if (s.sh_link < file.sections().size() && s.sh_entsize == sizeof(ElfW(Sym))) {
          const elf::section& names = file.sections()[s.sh_link];
          add(source, {s.sh_offset, s.sh_size / sizeof(ElfW(Sym)), names.sh_offset, names.sh_size},
              file.sections());
        }
        break;
      }
    }
  }

  // The same without sections: untyped symbols are ignored, and one of size 0 ends only at the
  // next.
  void add(const byte_source& source, const place& where) { add(source, where, {}); }

  // Requires: called once, after the last add.
  void sort() {
    sys::sort(entries_, [](const entry& a, const entry& b) {
      return a.start != b.start ? a.start < b.start : a.rank > b.rank;
    });
    // A label within a function that has a size is a place in it, not another function.
    std::uint64_t covered = 0;
    sys::erase_if(entries_, [&covered](const entry& e) {
      if (e.end == e.start) return e.start < covered;
      covered = sys::most(covered, e.end);
      return false;
    });
    // The loop runs backwards, so that many symbols at one place are passed only once.
    std::uint64_t next = ~std::uint64_t{0};
    for (std::size_t i = entries_.size(); i > 0; --i) {
      entry& e = entries_[i - 1];
      if (i < entries_.size() && entries_[i].start != e.start) next = entries_[i].start;
      if (e.end == e.start) e.end = sys::least(tables_[e.table].end_of(e.section), next);
    }
  }

  // Forgets all that was added: a part of the functions, unsorted, would be taken for the whole.
  void clear() noexcept {
    entries_.release();
    tables_.clear();
  }

  // The innermost function that holds `address`; an empty name if none does.
  symbol find(std::uint64_t address) const {
    std::size_t at =
        sys::first_after(entries_, [address](const entry& e) { return address < e.start; });
    const entry* best = nullptr;
    // A function may lie within another (an alternative entry), but not within many.
    for (int looked = 0; at > 0 && looked < 16; ++looked) {
      const entry& e = entries_[--at];
      if (best != nullptr && e.start != best->start) break;
      // Entries with one start are sorted so that the best is last.
      if (address < e.end) best = &e;
    }
    return best == nullptr ? symbol{} : symbol{best->start, best->end, name_of(*best)};
  }

  bool empty() const noexcept { return entries_.empty(); }

 private:
  static constexpr std::uint64_t piece = 2048;  // symbols that are read at a time
  static constexpr std::size_t longest_name = std::size_t{1} << 17;

  struct entry {
    std::uint64_t start, end;
    std::uint32_t name;
    std::uint16_t section;
    std::uint8_t table, rank;
  };

  struct table {
    const byte_source* source;
    std::uint64_t names, name_bytes;
    sys::vector<std::uint64_t> section_ends;

    std::uint64_t end_of(std::uint16_t section) const noexcept {
      return section < section_ends.size() ? section_ends[section] : ~std::uint64_t{0};
    }

    // The text up to its zero, or to the end of the names.
    std::string text(std::uint64_t offset) const {
      std::string result;
      std::size_t step = 128;
      while (offset < name_bytes && result.size() < longest_name) {
        const std::size_t had = result.size();
        const auto bytes =
            static_cast<std::size_t>(sys::least<std::uint64_t>(step, name_bytes - offset));
        result.resize(had + bytes);
        if (!source->read(names + offset, std::as_writable_bytes(std::span(result).subspan(had)))) {
          return {};  // a part would be taken for another function
        }
        if (const std::size_t zero = result.find('\0', had); zero != std::string::npos) {
          result.resize(zero);
          break;
        }
        offset += bytes;
        step *= 2;
      }
      return result;
    }
  };

  void add(const byte_source& source, const place& where, std::span<const elf::section> sections) {
    const std::uint64_t bytes = source.size();
    if (where.symbols > bytes || where.count > (bytes - where.symbols) / sizeof(ElfW(Sym)) ||
        where.names > bytes || where.name_bytes > bytes - where.names || tables_.size() > 255) {
      return;
    }
    table& into = tables_.emplace_back();
    into = {&source, where.names, where.name_bytes, {}};
    for (const elf::section& s : sections) into.section_ends.push_back(s.sh_addr + s.sh_size);
    sys::mapped_array<ElfW(Sym)> some;
    for (std::uint64_t at = 0; at < where.count; at += some.size()) {
      some.resize(static_cast<std::size_t>(sys::least<std::uint64_t>(piece, where.count - at)));
      if (!source.read(where.symbols + at * sizeof(ElfW(Sym)),
                       std::as_writable_bytes(std::span(some.data(), some.size())))) {
        return;
      }
      for (const ElfW(Sym) & item : some) add(item, sections);
    }
  }

  void add(const ElfW(Sym) & item, std::span<const elf::section> sections) {
    const table& from = tables_.back();
    if (item.st_shndx == SHN_UNDEF || item.st_shndx >= SHN_LORESERVE || item.st_name == 0 ||
        item.st_name >= from.name_bytes)
      return;
    if (!sections.empty() && item.st_shndx >= sections.size()) return;
    const auto type = static_cast<unsigned>(item.st_info & 0xf);
    if (type != STT_FUNC && type != STT_GNU_IFUNC) {
      const bool is_label = type == STT_NOTYPE && !sections.empty() &&
                            (sections[item.st_shndx].sh_flags & SHF_EXECINSTR) != 0;
      if (!is_label || is_mark(from, item.st_name)) return;
    }
    const std::uint64_t end = item.st_value + item.st_size;
    if (end < item.st_value) return;
    entries_.push_back({item.st_value, end, item.st_name, item.st_shndx,
                        static_cast<std::uint8_t>(tables_.size() - 1), rank(item)});
  }

  // "$x" and "$d" are the assembler's marks of code and data on ARM, and name no function.
  static bool is_mark(const table& from, std::uint64_t name) {
    char first = '\0';
    return !from.source->read_value(from.names + name, first) || first == '$' || first == '\0';
  }

  // Orders typed before untyped, sized before unsized, global before weak before local.
  static std::uint8_t rank(const ElfW(Sym) & item) noexcept {
    const auto binding = static_cast<unsigned>(item.st_info >> 4);
    return static_cast<std::uint8_t>(((item.st_info & 0xf) != STT_NOTYPE ? 8 : 0) +
                                     (item.st_size != 0 ? 4 : 0) +
                                     (binding == STB_GLOBAL ? 2
                                      : binding == STB_WEAK ? 1
                                                            : 0));
  }

  std::string name_of(const entry& e) const {
    std::string name = tables_[e.table].text(e.name);
    name.resize(sys::least(name.find('@'), name.size()));
    return name;
  }

  sys::vector<table> tables_;
  sys::mapped_array<entry> entries_;
};
using symbol_table = basic_symbol_table<>;

}  // namespace whence::inline v1::symbols

#endif  // WHENCE_SYMBOLS_SYMBOL_TABLE_HPP
