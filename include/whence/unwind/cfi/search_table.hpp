// SPDX-License-Identifier: Apache-2.0
//
// The search table of an executable whose linker did not make one: g++ -static leaves .eh_frame_hdr
// out, the only way from the loaded program to .eh_frame. The other way is the section header,
// which only the file has.
//
// Not for signal handlers; may change errno. Some 3 ms for the 5000 functions of a small static
// program, once.
#ifndef WHENCE_UNWIND_CFI_SEARCH_TABLE_HPP
#define WHENCE_UNWIND_CFI_SEARCH_TABLE_HPP

#include <elf.h>
#include <link.h>

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <new>

#include <whence/sys/arena.hpp>
#include <whence/unwind/cfi/byte_cursor.hpp>
#include <whence/unwind/cfi/eh_frame.hpp>

namespace whence::inline v1::unwind {

// The section of the executable's file. False if the section or the file is missing, or if the file
// is another program: under an emulator it is the emulator.
inline bool find_section(const dl_phdr_info& executable, const char* name,
                         ElfW(Shdr) & found) noexcept {
  std::FILE* const file = std::fopen("/proc/thread-self/exe", "re");
  if (file == nullptr) return false;
  const auto read = [file](std::uint64_t offset, auto& value) {
    return std::fseek(file, static_cast<long>(offset), SEEK_SET) == 0 &&
           std::fread(&value, sizeof value, 1, file) == 1;
  };
  ElfW(Ehdr) elf;
  ElfW(Shdr) names;
  bool is_it = read(0, elf) && elf.e_phnum == executable.dlpi_phnum;
  for (unsigned i = 0; is_it && i < elf.e_phnum; ++i) {
    ElfW(Phdr) segment;
    is_it = read(elf.e_phoff + i * sizeof segment, segment) &&
            std::memcmp(&segment, &executable.dlpi_phdr[i], sizeof segment) == 0;
  }
  const bool has_names = is_it && elf.e_shentsize == sizeof found &&
                         read(elf.e_shoff + elf.e_shstrndx * sizeof names, names);
  bool is_found = false;
  for (unsigned i = 0; has_names && i < elf.e_shnum && !is_found; ++i) {
    char text[16]{};
    is_found = read(elf.e_shoff + i * sizeof found, found) &&
               read(names.sh_offset + found.sh_name, text) &&
               std::strncmp(text, name, sizeof text) == 0;
  }
  std::fclose(file);
  return is_found;
}

class search_table {
 public:
  // Empty if the executable has no .eh_frame, its file cannot be read, or memory is exhausted.
  static frame_section make(const dl_phdr_info& executable, sys::arena& arena) noexcept {
    ElfW(Shdr) section;
    if (!find_section(executable, ".eh_frame", section) || section.sh_addr == 0) return {};
    const std::uintptr_t begin = executable.dlpi_addr + section.sh_addr;
    frame_section s{begin, begin, begin + section.sh_size};
    std::uint64_t count = 0;
    for_each_function(s, [&](std::uintptr_t, std::uintptr_t) { ++count; });
    void* const memory = arena.allocate_always(sizeof(header) + count * sizeof(row));
    if (memory == nullptr) return {};
    auto* const table = ::new (memory) header{.frames = begin, .count = count};
    auto* const rows = reinterpret_cast<row*>(table + 1);
    s.header = reinterpret_cast<std::uintptr_t>(table);
    row* last = rows;
    for_each_function(s, [&](std::uintptr_t function, std::uintptr_t entry) {
      ::new (last++) row{static_cast<std::int64_t>(function - s.header),
                         static_cast<std::int64_t>(entry - s.header)};
    });
    sort(rows, count);
    const auto end = reinterpret_cast<std::uintptr_t>(last);
    s.begin = begin < s.header ? begin : s.header;
    s.end = s.end > end ? s.end : end;
    return s;
  }

 private:
  // The layout is the linkers', but with 8 bytes each: the arena is far from a program that is not
  // PIE.
  struct [[gnu::packed]] header {
    std::uint8_t version = 1;
    std::uint8_t encodings[3] = {encoding::absolute, encoding::absolute,
                                 encoding::to_data | encoding::signed_8};
    std::uint64_t frames, count;
  };
  struct [[gnu::packed]] row {
    std::int64_t function, entry;  // relative to the header
  };

  template <class Use>
  static void for_each_function(const frame_section& s, Use use) noexcept {
    memory_in_place memory;
    std::uint32_t length = 0;
    for (std::uintptr_t at = s.begin; s.holds(at, sizeof length); at += sizeof length + length) {
      std::memcpy(&length, reinterpret_cast<const void*>(at), sizeof length);
      if (length == 0 || length == 0xffffffff) return;
      fde f;
      if (eh_frame(s, memory).read(at, f)) use(f.start, at);
    }
  }

  // Shellsort, in place.
  static void sort(row* rows, std::uint64_t count) noexcept {
    for (std::uint64_t gap = count / 2; gap > 0; gap /= 2) {
      for (std::uint64_t i = gap; i < count; ++i) {
        const row moved = rows[i];
        std::uint64_t at = i;
        for (; at >= gap && moved.function < rows[at - gap].function; at -= gap) {
          rows[at] = rows[at - gap];
        }
        rows[at] = moved;
      }
    }
  }
};

}  // namespace whence::inline v1::unwind

#endif  // WHENCE_UNWIND_CFI_SEARCH_TABLE_HPP
