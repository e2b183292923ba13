// SPDX-License-Identifier: Apache-2.0
//
// Call-frame information as linkers lay it out (LSB Core 5.0, sections 10.6 and 10.7; DWARF 5
// section 6.4.1). A search table finds the FDE of a function, which names its CIE:
//
//   .eh_frame_hdr: | 1 | encodings, 3 | .eh_frame | count | {function, FDE} sorted by function ...
//   | .eh_frame:     | length, 4 | 0, 4          | version | augmentation | ...  | CFA program |
//   CIE
//                  | length, 4 | back to CIE, 4 | function | size | ... | CFA program | FDE
//
// Everything is read through `Memory`, which tells whether it could be:
//
//   const std::byte* view(std::uintptr_t address, std::size_t size, view_slot)      nullptr: no
//
// A view lasts until the next one of the same slot.
//
// Signal-safe if Memory is. Never allocates. Time: logarithmic in the size of the table.
#ifndef WHENCE_UNWIND_CFI_EH_FRAME_HPP
#define WHENCE_UNWIND_CFI_EH_FRAME_HPP

#include <cstddef>
#include <cstdint>

#include <whence/unwind/cfi/byte_cursor.hpp>

namespace whence::inline v1::unwind {

// Where a module's call-frame information is: the search table, and the memory it may lie in.
struct frame_section {
  std::uintptr_t header = 0;  // .eh_frame_hdr; 0: missing
  std::uintptr_t begin = 0;
  std::uintptr_t end = 0;

  bool holds(std::uintptr_t address, std::size_t size) const noexcept {
    return address >= begin && address < end && size <= end - address;
  }
};

enum class view_slot : unsigned char { number, common_entry, function_entry };

// Memory that cannot be unmapped: it is read in place.
struct memory_in_place {
  static const std::byte* view(std::uintptr_t address, std::size_t, view_slot) noexcept {
    return reinterpret_cast<const std::byte*>(address);
  }
};

struct cie {
  std::uint64_t code_alignment = 1;
  std::int64_t data_alignment = 1;
  std::uint64_t return_column = 0;
  std::uint8_t pointers = encoding::absolute;
  bool has_augmentation = false;
  bool signal_frame = false;  // its RA is an interrupted instruction, not a return address
  byte_cursor program;
};

struct fde {
  std::uintptr_t start = 0;  // of the function
  std::uintptr_t limit = 0;
  cie common;
  byte_cursor program;
};

enum class lookup_result : unsigned char { found, no_entry, damaged };

template <class Memory>
class eh_frame {
 public:
  eh_frame(const frame_section& section, Memory& memory) noexcept
      : section_(section), memory_(memory) {}

  // The entry of the function that holds `address`.
  lookup_result find(std::uintptr_t address, fde& found) noexcept {
    const std::uintptr_t entry = search(address);
    if (entry == 0) return damaged_ ? lookup_result::damaged : lookup_result::no_entry;
    if (!read(entry, found)) return lookup_result::damaged;
    return address >= found.start && address < found.limit ? lookup_result::found
                                                           : lookup_result::no_entry;
  }

  // The entry at `address`; false if that is a CIE or is damaged.
  bool read(std::uintptr_t address, fde& f) noexcept {
    byte_cursor c = entry(address, view_slot::function_entry);
    const std::uintptr_t field = c.address();
    const auto back = c.fixed<std::uint32_t>();
    if (!c.ok() || back == 0 || !read_cie(field - back, f.common)) return false;
    f.start = c.pointer(f.common.pointers);
    // A size has the format of a pointer, but is not relative.
    f.limit = f.start + c.pointer(f.common.pointers & encoding::format_bits);
    if (f.common.has_augmentation) c.skip(c.uleb());
    f.program = c;
    return c.ok();
  }

 private:
  static constexpr std::size_t header_size = 4;

  // The last entry of the table that begins at or before `address`; 0: not found.
  std::uintptr_t search(std::uintptr_t address) noexcept {
    // They are two pointers of at most 10 bytes; less is left if the section ends.
    std::size_t size = header_size + 20;
    if (section_.header == 0 || !section_.holds(section_.header, header_size)) return 0;
    size = size < section_.end - section_.header ? size : section_.end - section_.header;
    const std::byte* const bytes = memory_.view(section_.header, size, view_slot::number);
    if (bytes == nullptr) return damage();
    byte_cursor header(bytes, size, section_.header);
    if (header.byte() != 1) return damage();
    const std::uint8_t frame_encoding = header.byte();
    const std::uint8_t count_encoding = header.byte();
    const std::uint8_t table_encoding = header.byte();
    header.pointer(frame_encoding, section_.header);
    const std::uintptr_t count = header.pointer(count_encoding, section_.header);
    if (!header.ok()) return damage();
    if (count_encoding == encoding::omitted || count == 0) return 0;
    switch (table_encoding) {
      case encoding::to_data | encoding::signed_4:
        return bisect<std::int32_t>(header.address(), count, address);
      case encoding::to_data | encoding::signed_8:
        return bisect<std::int64_t>(header.address(), count, address);
      default:
        return 0;  // no linker writes another format
    }
  }

  // Offsets are relative to .eh_frame_hdr.
  template <class Offset>
  struct row {
    Offset function;
    Offset entry;
  };

  template <class Offset>
  std::uintptr_t bisect(std::uintptr_t table, std::uintptr_t count,
                        std::uintptr_t address) noexcept {
    using table_row = row<Offset>;
    if (count > (section_.end - section_.begin) / sizeof(table_row) ||
        !section_.holds(table, count * sizeof(table_row))) {
      return damage();
    }
    const auto relative = static_cast<std::int64_t>(address - section_.header);
    table_row best{};
    bool any = false;
    while (count > 0) {
      const std::uintptr_t half = count / 2;
      table_row middle;
      if (!load(table + half * sizeof middle, middle)) return damage();
      if (middle.function <= relative) {
        best = middle;
        any = true;
        table += (half + 1) * sizeof middle;
        count -= half + 1;
      } else {
        count = half;
      }
    }
    return any ? section_.header + static_cast<std::uintptr_t>(std::intptr_t{best.entry}) : 0;
  }

  template <class T>
  bool load(std::uintptr_t address, T& value) noexcept {
    const std::byte* const bytes = memory_.view(address, sizeof value, view_slot::number);
    if (bytes == nullptr) return false;
    std::memcpy(&value, bytes, sizeof value);
    return true;
  }

  // Reads an entry, from the field after its length on.
  byte_cursor entry(std::uintptr_t address, view_slot slot) noexcept {
    std::uint32_t length = 0;
    if (!section_.holds(address, sizeof length) || !load(address, length)) return {};
    address += sizeof length;
    // 0 ends the section; 0xffffffff says that 8 bytes of length follow, which no compiler writes.
    if (length == 0 || length == 0xffffffff || !section_.holds(address, length)) return {};
    const std::byte* const bytes = memory_.view(address, length, slot);
    return bytes == nullptr ? byte_cursor{} : byte_cursor(bytes, length, address);
  }

  bool read_cie(std::uintptr_t address, cie& common) noexcept {
    byte_cursor c = entry(address, view_slot::common_entry);
    if (c.fixed<std::uint32_t>() != 0 || !c.ok()) return false;
    const std::uint8_t version = c.byte();
    if (version != 1 && version != 3 && version != 4) return false;
    const byte_cursor letters = c;
    while (c.ok() && c.byte() != 0) {
    }
    if (version == 4) c.skip(2);  // address size, segment selector size
    common.code_alignment = c.uleb();
    common.data_alignment = c.sleb();
    common.return_column = version == 1 ? c.byte() : c.uleb();
    common.pointers = encoding::absolute;
    common.signal_frame = false;
    common.has_augmentation = false;
    if (!augmentation(letters, c, common)) return false;
    common.program = c;
    return c.ok();
  }

  // z: the data has a length   R: encoding of pointers   P, L: personality, LSDA (exceptions)
  // S: signal frame            B, G: AArch64, authentication key and memory tagging
  static bool augmentation(byte_cursor letters, byte_cursor& c, cie& common) noexcept {
    char letter = static_cast<char>(letters.byte());
    if (letter == 0) return true;
    if (letter != 'z') return false;
    common.has_augmentation = true;
    byte_cursor data = c.take(c.uleb());
    while ((letter = static_cast<char>(letters.byte())) != 0) {
      switch (letter) {
        case 'R':
          common.pointers = data.byte();
          break;
        case 'P':
          data.pointer(data.byte());
          break;
        case 'L':
          data.byte();
          break;
        case 'S':
          common.signal_frame = true;
          break;
        case 'B':
        case 'G':
          break;
        default:
          return letters.ok();  // the length lets a reader skip unknown data
      }
    }
    return data.ok() && letters.ok();
  }

  std::uintptr_t damage() noexcept {
    damaged_ = true;
    return 0;
  }

  const frame_section& section_;
  Memory& memory_;
  bool damaged_ = false;
};

}  // namespace whence::inline v1::unwind

#endif  // WHENCE_UNWIND_CFI_EH_FRAME_HPP
