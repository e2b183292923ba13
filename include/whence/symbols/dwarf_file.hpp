// SPDX-License-Identifier: Apache-2.0
//
// One file of DWARF: its image, its units, and views of single units. A view shows libdw one unit
// as if the file had no others: opening it costs the same in a file of ten and of ten thousand
// units, closing it frees libdw's memory for it, and damage stays within it.
//
// The price: references to other units (link-time optimization, dwz) have to be followed here.
#ifndef WHENCE_SYMBOLS_DWARF_FILE_HPP
#define WHENCE_SYMBOLS_DWARF_FILE_HPP

#include <dwarf.h>
#include <elfutils/libdw.h>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <span>
#include <string>
#include <utility>

#include <whence/symbols/debug_image.hpp>
#include <whence/sys/algorithms.hpp>
#include <whence/sys/mapped_array.hpp>
#include <whence/sys/vector.hpp>

namespace whence::inline v1::symbols {

// `size` little-endian bytes at `at`; nullopt if they are not all in the section.
template <class = void>
inline std::optional<std::uint64_t> number_at(std::span<const std::byte> section, std::uint64_t at,
                                              std::size_t size) noexcept {
  std::uint64_t value = 0;
  if (size > sizeof value || at > section.size() || size > section.size() - at) return std::nullopt;
  std::memcpy(&value, section.data() + at, size);
  return value;
}

// Advances `at`.
template <class = void>
inline std::optional<std::uint64_t> uleb_at(std::span<const std::byte> section,
                                            std::uint64_t& at) noexcept {
  std::uint64_t value = 0;
  for (unsigned shift = 0; at < section.size() && shift < 64; shift += 7) {
    const auto byte = std::to_integer<std::uint64_t>(section[at++]);
    value |= (byte & 0x7f) << shift;
    if ((byte & 0x80) == 0) return value;
  }
  return std::nullopt;
}

struct dwarf_unit {
  std::uint64_t offset = 0, end = 0;  // in .debug_info
  std::uint16_t first_die = 0;        // from offset
  std::uint16_t version = 0;
  std::uint8_t offset_bytes = 4;
  std::uint8_t address_bytes = 8;
  std::uint8_t type = 0;
  bool has_lines = false;
  bool is_skeleton = false;
  std::uint64_t low_pc = 0;
  std::uint64_t addr_base = 0;
  std::uint64_t ranges_base = 0;    // its split unit's, before DWARF 5
  std::uint64_t rnglists_base = 0;  // 0 if missing
  std::uint64_t split_id = 0;       // if it is a skeleton
  std::uint32_t slices = 0;         // index in the file's list; 0 for whole sections
};

template <class = void>
class basic_dwarf_file {
 public:
  static constexpr std::size_t most_units = 1'000'000;

  debug_image image;
  sys::vector<section_slices> slices{{}};
  bool is_split = false;  // a .dwo or .dwp file

  const sys::mapped_array<dwarf_unit>& units() const noexcept { return units_; }

  // Lists the units of a part of the file, and calls f(unit, its first DIE) for each to tell more
  // about it. False if damage ends the list early.
  template <class F>
  bool list_units(std::uint32_t in_slices, F f) {
    units_.clear();
    const dwarf_handle whole = image.open(slices[in_slices]);
    if (!whole) return false;
    const std::span<const std::byte> info = image.section(debug_section::info, slices[in_slices]);
    ::Dwarf_Off at = 0;
    ::Dwarf_Off next = 0;
    std::size_t header = 0;
    ::Dwarf_Half version = 0;
    ::Dwarf_Off abbreviations = 0;
    for (;; at = next) {
      dwarf_unit u;
      const int status =
          ::dwarf_next_unit(whole.get(), at, &next, &header, &version, &abbreviations,
                            &u.address_bytes, &u.offset_bytes, nullptr, nullptr);
      if (status != 0) return status == 1;
      if (next <= at || header == 0 || header > 255 || units_.size() >= most_units) return false;
      u.offset = slices[in_slices][0].offset + at;
      u.end = slices[in_slices][0].offset + next;
      u.first_die = static_cast<std::uint16_t>(header);
      u.version = version;
      u.slices = in_slices;
      // | length | version, 2 | type, 1 | address size, 1 | abbreviations | id, 8, of a skeleton
      const std::size_t type_at = at + (u.offset_bytes == 8 ? 12U : 4U) + 2U;
      if (version >= 5) {
        u.type = static_cast<std::uint8_t>(number_at(info, type_at, 1).value_or(0));
        if (u.type == DW_UT_skeleton || u.type == DW_UT_split_compile) {
          u.split_id = number_at(info, type_at + 2 + u.offset_bytes, 8).value_or(0);
        }
      }
      ::Dwarf_Die root;
      if (::dwarf_offdie(whole.get(), at + header, &root) != nullptr) f(u, root);
      units_.push_back(u);
    }
  }

  dwarf_unit& unit(std::size_t i) noexcept { return units_[i]; }

  std::optional<std::size_t> unit_at(std::uint64_t offset) const {
    const std::size_t after =
        sys::first_after(units_, [offset](const dwarf_unit& u) { return offset < u.offset; });
    if (after == 0 || offset >= units_[after - 1].end) return std::nullopt;
    return after - 1;
  }

  dwarf_handle open(std::size_t i) {
    const dwarf_unit& u = units_[i];
    section_slices part = slices[u.slices];
    part[0] = {u.offset, u.end - u.offset};
    return image.open(part);
  }

  std::span<const std::byte> section(debug_section which, const dwarf_unit& u) const {
    return image.section(which, slices[u.slices]);
  }

 private:
  sys::mapped_array<dwarf_unit> units_;
};
using dwarf_file = basic_dwarf_file<>;

// ---- attributes, as far as libdw's functions would need the units that a view does not show
// --------

template <class = void>
inline bool has_attribute(::Dwarf_Die& die, unsigned name, ::Dwarf_Attribute& to) noexcept {
  return ::dwarf_attr(&die, name, &to) != nullptr && to.valp != nullptr;
}

template <class = void>
inline std::optional<std::uint64_t> constant_of(::Dwarf_Die& die, unsigned name) noexcept {
  ::Dwarf_Attribute a;
  ::Dwarf_Word value = 0;
  if (!has_attribute(die, name, a) || ::dwarf_formudata(&a, &value) != 0) return std::nullopt;
  return value;
}

// The place of a unit's line table. A split unit's, which has only files, is the first in its file.
template <class = void>
inline std::uint64_t line_table_of(const dwarf_file& file, ::Dwarf_Die& root) noexcept {
  if (file.is_split) return 0;
  return constant_of(root, DW_AT_stmt_list).value_or(~std::uint64_t{0});
}

// The place of the addresses that a unit's attributes refer to: for a split unit in its skeleton's
// file, at the skeleton's base.
struct address_source {
  const dwarf_file* file;
  const dwarf_unit* unit;

  std::optional<std::uint64_t> at(std::uint64_t index) const noexcept {
    if (index > debug_image::largest) return std::nullopt;
    return number_at(file->section(debug_section::addr, *unit),
                     unit->addr_base + index * unit->address_bytes, unit->address_bytes);
  }
};

// The value of an attribute of class address; nullopt if its class is another one.
template <class = void>
inline std::optional<std::uint64_t> address_of(const dwarf_file& file, ::Dwarf_Attribute& a,
                                               const address_source& addresses) noexcept {
  const auto index_of = [&](std::size_t size) -> std::optional<std::uint64_t> {
    if (!file.image.holds(a.valp, size)) return std::nullopt;
    std::uint64_t index = 0;
    std::memcpy(&index, a.valp, size);
    return addresses.at(index);
  };
  switch (a.form) {
    case DW_FORM_addr: {
      ::Dwarf_Addr value = 0;
      if (::dwarf_formaddr(&a, &value) != 0) return std::nullopt;
      return value;
    }
    case DW_FORM_addrx1:
      return index_of(1);
    case DW_FORM_addrx2:
      return index_of(2);
    case DW_FORM_addrx3:
      return index_of(3);
    case DW_FORM_addrx4:
      return index_of(4);
    case DW_FORM_addrx:
    case DW_FORM_GNU_addr_index: {
      const std::span<const std::byte> info = file.image.section(debug_section::info);
      const auto* const p = reinterpret_cast<const std::byte*>(a.valp);
      if (p < info.data() || p >= info.data() + info.size()) return std::nullopt;
      auto at = static_cast<std::uint64_t>(p - info.data());
      const std::optional<std::uint64_t> index = uleb_at(info, at);
      return index ? addresses.at(*index) : std::nullopt;
    }
    default:
      return std::nullopt;
  }
}

}  // namespace whence::inline v1::symbols

#endif  // WHENCE_SYMBOLS_DWARF_FILE_HPP
