// SPDX-License-Identifier: Apache-2.0
//
// The functions of a module by address: the union of .symtab and .dynsym, its own or a debug
// file's.
//
// A symbol reaches as far as its size says; one of size 0 (hand-written assembly) to the next
// symbol or the end of its section. Of several at one address the global name wins, then the weak
// one.
#ifndef WHENCE_SYMBOLS_SYMBOL_TABLE_HPP
#define WHENCE_SYMBOLS_SYMBOL_TABLE_HPP

#include <elf.h>
#include <link.h>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

#include <whence/symbols/byte_source.hpp>
#include <whence/symbols/elf.hpp>
#include <whence/sys/sequence.hpp>

namespace whence::inline v1::symbols {

class symbol_table {
 public:
  struct symbol {
    std::uint64_t start;
    std::uint64_t end;
    std::string_view name;  // mangled, without its version
  };

  symbol_table() = default;
  symbol_table(const symbol_table&) = delete;  // names point into strings_
  symbol_table& operator=(const symbol_table&) = delete;

  // Adds the functions of a file. Its addresses are those the file was linked at.
  void add(const byte_source& source, const elf& file) {
    // A file has one of each (gABI); a damaged one with thousands would be read thousands of times.
    for (const unsigned type : {unsigned{SHT_SYMTAB}, unsigned{SHT_DYNSYM}}) {
      for (const elf::section& s : file.sections()) {
        if (s.sh_type != type) continue;
        add_section(source, file, s);
        break;
      }
    }
  }

  // Call once, after the last add.
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
    for (std::size_t i = 0; i < entries_.size(); ++i) {
      if (entries_[i].end != entries_[i].start) continue;
      std::size_t next = i;
      while (next < entries_.size() && entries_[next].start == entries_[i].start) ++next;
      entries_[i].end = entries_[i].section_end;
      if (next < entries_.size()) {
        entries_[i].end = sys::least(entries_[i].end, entries_[next].start);
      }
    }
  }

  // The innermost function that holds `address`; an empty name where none does.
  symbol find(std::uint64_t address) const {
    std::size_t at =
        sys::first_after(entries_, [address](const entry& e) { return address < e.start; });
    const entry* best = nullptr;
    // A function may lie within another (an alternative entry), but not under many.
    for (int looked = 0; at > 0 && looked < 16; ++looked) {
      const entry& e = entries_[--at];
      if (best != nullptr && e.start != best->start) break;
      // Of one start the order is best last.
      if (address < e.end) best = &e;
    }
    return best == nullptr ? symbol{} : symbol{best->start, best->end, name_of(*best)};
  }

  bool empty() const noexcept { return entries_.empty(); }

 private:
  struct entry {
    std::uint64_t start, end, section_end;
    std::uint32_t table, name;
    int rank;
  };

  void add_section(const byte_source& source, const elf& file, const elf::section& s) {
    if (s.sh_link >= file.sections().size() || s.sh_entsize != sizeof(ElfW(Sym))) return;
    const std::vector<std::byte> bytes = elf::content(source, s);
    strings_.push_back(elf::content(source, file.sections()[s.sh_link]));
    const auto table = static_cast<std::uint32_t>(strings_.size() - 1);
    for (std::size_t at = 0; bytes.size() - at >= sizeof(ElfW(Sym)); at += sizeof(ElfW(Sym))) {
      ElfW(Sym) item;
      std::memcpy(&item, bytes.data() + at, sizeof item);
      if (item.st_shndx == SHN_UNDEF || item.st_shndx >= file.sections().size()) continue;
      const elf::section& home = file.sections()[item.st_shndx];
      const std::string_view name = elf::text_at(strings_[table], item.st_name);
      // "$x" and "$d" are the assembler's marks of code and data on ARM, and name no function.
      if (!is_function(item, home) || name.empty() || name.front() == '$') continue;
      const std::uint64_t end = item.st_value + item.st_size;
      if (end < item.st_value) continue;
      entries_.push_back(
          {item.st_value, end, home.sh_addr + home.sh_size, table, item.st_name, rank(item)});
    }
  }

  static bool is_function(const ElfW(Sym) & item, const elf::section& home) noexcept {
    const auto type = static_cast<unsigned>(item.st_info & 0xf);
    if (type == STT_FUNC || type == STT_GNU_IFUNC) return true;
    return type == STT_NOTYPE && (home.sh_flags & SHF_EXECINSTR) != 0;
  }

  // Typed before untyped, sized before unsized, global before weak before local.
  static int rank(const ElfW(Sym) & item) noexcept {
    const auto binding = static_cast<unsigned>(item.st_info >> 4);
    return ((item.st_info & 0xf) != STT_NOTYPE ? 8 : 0) + (item.st_size != 0 ? 4 : 0) +
           (binding == STB_GLOBAL ? 2
            : binding == STB_WEAK ? 1
                                  : 0);
  }

  std::string_view name_of(const entry& e) const {
    const std::string_view name = elf::text_at(strings_[e.table], e.name);
    return name.substr(0, name.find('@'));
  }

  std::vector<std::vector<std::byte>> strings_;
  std::vector<entry> entries_;
};

}  // namespace whence::inline v1::symbols

#endif  // WHENCE_SYMBOLS_SYMBOL_TABLE_HPP
