// SPDX-License-Identifier: Apache-2.0
//
// The addresses of a unit or a function: DW_AT_low_pc and DW_AT_high_pc, or a list. (DWARF 5,
// sections 2.17.3 and 7.25; DWARF 4, 2.17.3; split units before DWARF 5 as GCC writes them)
//
//   .debug_ranges:    | begin | end | ... | 0 | 0 |      begin == -1: end is the base from here on
//   .debug_rnglists:  | kind, 1 | operands | ... | DW_RLE_end_of_list |
//
// libdw's function for it needs to see a skeleton and its split unit at once. Code that a linker
// left out starts at 0 or 1 (GNU ld, gold) or at -1 or -2 (lld), and is not reported.
#ifndef WHENCE_SYMBOLS_DWARF_RANGES_HPP
#define WHENCE_SYMBOLS_DWARF_RANGES_HPP

#include <dwarf.h>
#include <elfutils/libdw.h>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include <whence/symbols/dwarf_file.hpp>

namespace whence::inline v1::symbols {

// The needed attributes of a function's DIE, found in one pass: dwarf_attr starts anew for each.
struct function_attributes {
  ::Dwarf_Attribute low{}, high{}, ranges{}, origin{}, specification{}, call_file{}, call_line{},
      call_column{};

  explicit function_attributes(::Dwarf_Die& die) { (void)::dwarf_getattrs(&die, &take, this, 0); }

 private:
  static int take(::Dwarf_Attribute* a, void* to) {
    auto& all = *static_cast<function_attributes*>(to);
    switch (a->code) {
      case DW_AT_low_pc:
        all.low = *a;
        break;
      case DW_AT_high_pc:
        all.high = *a;
        break;
      case DW_AT_ranges:
        all.ranges = *a;
        break;
      case DW_AT_abstract_origin:
        all.origin = *a;
        break;
      case DW_AT_specification:
        all.specification = *a;
        break;
      case DW_AT_call_file:
        all.call_file = *a;
        break;
      case DW_AT_call_line:
        all.call_line = *a;
        break;
      case DW_AT_call_column:
        all.call_column = *a;
        break;
      default:
        break;
    }
    return DWARF_CB_OK;
  }
};

template <class = void>
inline std::uint32_t small_number(::Dwarf_Attribute& a) noexcept {
  ::Dwarf_Word value = 0;
  return a.valp != nullptr && ::dwarf_formudata(&a, &value) == 0 && value <= 0xfffffffe
             ? static_cast<std::uint32_t>(value)
             : 0;
}

// `file` and `unit` have the attributes' DIE. `skeleton`: the unit itself if it is not split.
struct range_reader {
  const dwarf_file& file;
  const dwarf_unit& unit;
  address_source skeleton;
  // The number of entries still allowed: any number of functions may share one list.
  mutable std::uint64_t left = 100'000'000;

  // Calls f(low, high) for each range that is not empty.
  template <class F>
  void each(function_attributes& of, F f) const {
    const auto checked = [&f](std::uint64_t low, std::uint64_t high) {
      if (low > 1 && low < high) f(low, high);
    };
    if (of.ranges.valp != nullptr) {
      const auto at = list_of(of.ranges);
      if (!at) return;
      if (unit.version < 5) {
        old_list(*at, checked);
      } else {
        new_list(*at, checked);
      }
      return;
    }
    if (of.low.valp == nullptr || of.high.valp == nullptr) return;
    const auto low = address_of(file, of.low, skeleton);
    if (!low) return;
    if (const auto high = address_of(file, of.high, skeleton)) {
      checked(*low, *high);
      return;
    }
    ::Dwarf_Word size = 0;
    if (::dwarf_formudata(&of.high, &size) == 0 && size < (std::uint64_t{1} << 32)) {
      checked(*low, *low + size);
    }
  }

 private:
  bool is_split() const noexcept { return skeleton.unit != &unit; }

  std::optional<std::uint64_t> list_of(::Dwarf_Attribute& a) const noexcept {
    if (a.form != DW_FORM_rnglistx) {
      const auto size = a.form == DW_FORM_sec_offset ? std::size_t{unit.offset_bytes}
                        : a.form == DW_FORM_data8    ? std::size_t{8}
                                                     : std::size_t{4};
      if (!file.image.holds(a.valp, size)) return std::nullopt;
      std::uint64_t at = 0;
      std::memcpy(&at, a.valp, size);
      if (unit.version < 5 && is_split()) at += skeleton.unit->ranges_base;
      return at;
    }
    const std::span<const std::byte> info = file.image.section(debug_section::info);
    const auto* const p = reinterpret_cast<const std::byte*>(a.valp);
    if (p < info.data() || p >= info.data() + info.size()) return std::nullopt;
    auto read = static_cast<std::uint64_t>(p - info.data());
    const auto index = uleb_at(info, read);
    if (!index || *index > debug_image::largest) return std::nullopt;
    // A split unit has no attribute for it: its table is the first one.
    const std::uint64_t base =
        unit.rnglists_base != 0 ? unit.rnglists_base : std::uint64_t{unit.offset_bytes} * 2 + 4;
    const auto offset = number_at(file.section(debug_section::rnglists, unit),
                                  base + *index * unit.offset_bytes, unit.offset_bytes);
    if (!offset) return std::nullopt;
    return base + *offset;
  }

  template <class F>
  void old_list(std::uint64_t at, F f) const {
    const std::span<const std::byte> section =
        skeleton.file->section(debug_section::ranges, *skeleton.unit);
    const std::size_t size = unit.address_bytes;
    const std::uint64_t highest = size == 8 ? ~std::uint64_t{0} : 0xffffffff;
    std::uint64_t base = skeleton.unit->low_pc;
    for (; left > 0; --left, at += 2 * size) {
      const auto begin = number_at(section, at, size);
      const auto end = number_at(section, at + size, size);
      if (!begin || !end || (*begin == 0 && *end == 0)) return;
      if (*begin == highest) {
        base = *end;
      } else if (*begin < *end && *begin != highest - 1) {
        // Relative to 0, code that was left out starts at 0 or 1, as `f` knows.
        f(base + *begin, base + *end);
      }
    }
  }

  template <class F>
  void new_list(std::uint64_t at, F f) const {
    const std::span<const std::byte> section = file.section(debug_section::rnglists, unit);
    std::optional<std::uint64_t> base = skeleton.unit->low_pc;
    for (; left > 0 && at < section.size(); --left) {
      const auto kind = std::to_integer<unsigned>(section[at++]);
      const auto address = [&]() -> std::optional<std::uint64_t> {
        const auto value = number_at(section, at, unit.address_bytes);
        at += unit.address_bytes;
        return value;
      };
      const auto indexed = [&]() -> std::optional<std::uint64_t> {
        const auto index = uleb_at(section, at);
        return index ? skeleton.at(*index) : std::nullopt;
      };
      std::optional<std::uint64_t> low;
      std::optional<std::uint64_t> high;
      switch (kind) {
        case DW_RLE_base_addressx:
          base = indexed();
          continue;
        case DW_RLE_base_address:
          base = address();
          continue;
        case DW_RLE_startx_endx:
          low = indexed();
          high = indexed();
          break;
        case DW_RLE_startx_length:
          low = indexed();
          high = length_after(section, at, low);
          break;
        case DW_RLE_offset_pair: {
          const auto from = uleb_at(section, at);
          const auto to = uleb_at(section, at);
          if (!from || !to) return;
          // Code that was left out has a base of 0, and invalid offsets.
          if (!base || *base <= 1 || *base >= ~std::uint64_t{1}) continue;
          low = *base + *from;
          high = *base + *to;
          break;
        }
        case DW_RLE_start_end:
          low = address();
          high = address();
          break;
        case DW_RLE_start_length:
          low = address();
          high = length_after(section, at, low);
          break;
        default:  // the end, or unknown
          return;
      }
      if (low && high) f(*low, *high);
    }
  }

  static std::optional<std::uint64_t> length_after(std::span<const std::byte> section,
                                                   std::uint64_t& at,
                                                   std::optional<std::uint64_t> low) noexcept {
    const auto length = uleb_at(section, at);
    if (!length || !low) return std::nullopt;
    return *low + *length;
  }
};

}  // namespace whence::inline v1::symbols

#endif  // WHENCE_SYMBOLS_DWARF_RANGES_HPP
