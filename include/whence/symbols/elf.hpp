// SPDX-License-Identifier: Apache-2.0
//
// An ELF file, as far as names need it: its sections, its notes, its symbols of code. (System V
// gABI, chapters "Object Files" and "Symbol Table")
//
//   | Ehdr | ... program headers ... sections ... | section headers |
//
// The file may be damaged, truncated, or not ELF at all. Every offset and count is checked against
// the source, and invalid parts are ignored.
#ifndef WHENCE_SYMBOLS_ELF_HPP
#define WHENCE_SYMBOLS_ELF_HPP

#include <elf.h>
#include <link.h>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <utility>

#include <whence/symbols/build_id.hpp>
#include <whence/symbols/byte_source.hpp>
#include <whence/sys/algorithms.hpp>
#include <whence/sys/vector.hpp>

namespace whence::inline v1::symbols {

class elf {
 public:
  using section = ElfW(Shdr);

  // Keeps no reference to the source.
  explicit elf(const byte_source& source) {
    ElfW(Ehdr) header;
    if (!source.read_value(0, header) || std::memcmp(header.e_ident, ELFMAG, SELFMAG) != 0 ||
        header.e_ident[EI_CLASS] != native_class || header.e_ident[EI_DATA] != ELFDATA2LSB) {
      return;
    }
    is_elf_ = true;
    read_sections(source, header);
    read_build_id(source, header);
  }

  const sys::vector<section>& sections() const noexcept { return sections_; }
  const std::string& build_id() const noexcept { return build_id_; }

  bool is_elf() const noexcept { return is_elf_; }

  // nullptr if no section has that name.
  const section* find(std::string_view name) const noexcept {
    for (const section& s : sections_) {
      if (is_text_at(names_, s.sh_name, name)) return &s;
    }
    return nullptr;
  }

  // Empty if the section has no content, or it is not within the file.
  static sys::vector<std::byte> content(const byte_source& source, const section& s) {
    return s.sh_type == SHT_NOBITS ? sys::vector<std::byte>{}
                                   : source.piece(s.sh_offset, s.sh_size);
  }

  // The string at `offset` of a string table; empty if the offset is outside.
  static std::string_view text_at(const sys::vector<std::byte>& table,
                                  std::uint64_t offset) noexcept {
    if (offset >= table.size()) return {};
    const auto* const begin = reinterpret_cast<const char*>(table.data()) + offset;
    return {begin, ::strnlen(begin, table.size() - offset)};
  }

 private:
  // More than any file has, so that a damaged one is not read a thousand times over.
  static constexpr std::uint64_t most_segments = 4096;
  static constexpr std::uint64_t most_note_bytes = 65536;
  static constexpr unsigned char native_class = sizeof(void*) == 8 ? ELFCLASS64 : ELFCLASS32;

  // Looks no further than the name's length: a damaged file's name may go on for megabytes.
  static bool is_text_at(const sys::vector<std::byte>& table, std::uint64_t offset,
                         std::string_view text) noexcept {
    if (offset >= table.size() || text.size() > table.size() - offset) return false;
    const std::uint64_t end = offset + text.size();
    return std::memcmp(table.data() + offset, text.data(), text.size()) == 0 &&
           (end == table.size() || table[end] == std::byte{0});
  }

  void read_sections(const byte_source& source, const ElfW(Ehdr) & header) {
    if (header.e_shoff == 0 || header.e_shentsize != sizeof(section)) return;
    section first;
    if (!source.read_value(header.e_shoff, first)) return;
    // Counts too large for the header are in section 0.
    const std::uint64_t count = header.e_shnum != 0 ? header.e_shnum : first.sh_size;
    const std::uint64_t names = header.e_shstrndx != SHN_XINDEX ? header.e_shstrndx : first.sh_link;
    if (count > source.size() / sizeof(section)) return;
    const sys::vector<std::byte> bytes = source.piece(header.e_shoff, count * sizeof(section));
    sections_.resize(bytes.size() / sizeof(section));
    if (!bytes.empty()) std::memcpy(sections_.data(), bytes.data(), bytes.size());
    if (names < sections_.size()) names_ = content(source, sections_[names]);
  }

  void read_build_id(const byte_source& source, const ElfW(Ehdr) & header) {
    if (header.e_phentsize != sizeof(ElfW(Phdr))) return;
    const std::uint64_t segments = sys::least<std::uint64_t>(header.e_phnum, most_segments);
    for (std::uint64_t i = 0; i < segments && build_id_.empty(); ++i) {
      ElfW(Phdr) segment;
      if (!source.read_value(header.e_phoff + i * sizeof segment, segment)) return;
      if (segment.p_type != PT_NOTE) continue;
      const std::uint64_t bytes = sys::least<std::uint64_t>(segment.p_filesz, most_note_bytes);
      build_id_ = find_build_id(source.piece(segment.p_offset, bytes), segment.p_align);
    }
  }

  sys::vector<section> sections_;
  sys::vector<std::byte> names_;
  std::string build_id_;
  bool is_elf_ = false;
};

}  // namespace whence::inline v1::symbols

#endif  // WHENCE_SYMBOLS_ELF_HPP
