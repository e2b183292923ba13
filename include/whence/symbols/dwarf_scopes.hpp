// SPDX-License-Identifier: Apache-2.0
//
// The functions that hold an address, inlined ones too: a table of one unit, made at its first
// look-up. (dwarf_getscopes searches a whole unit for each address.)
//
// The functions are found in one walk over the unit's DIEs, as ranges that hold each other; these
// become steps in the order of addresses.
#ifndef WHENCE_SYMBOLS_DWARF_SCOPES_HPP
#define WHENCE_SYMBOLS_DWARF_SCOPES_HPP

#include <dwarf.h>
#include <elfutils/libdw.h>

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

#include <whence/symbols/dwarf_file.hpp>
#include <whence/symbols/dwarf_names.hpp>
#include <whence/symbols/dwarf_ranges.hpp>
#include <whence/symbols/line_tables.hpp>
#include <whence/sys/algorithms.hpp>
#include <whence/sys/mapped_array.hpp>
#include <whence/sys/mix64.hpp>
#include <whence/sys/vector.hpp>

namespace whence::inline v1::symbols {

template <class = void>
class basic_scope_builder {
 public:
  // More than any program's unit has, and few enough to be read in seconds.
  static constexpr std::size_t most_dies = 20'000'000;

  basic_scope_builder(line_tables& to, dwarf_names& names, const range_reader& ranges)
      : to_(to), names_(names), ranges_(ranges) {}

  // Adds the functions of a unit. False if some are missing: it is damaged, or exceeds the limits.
  bool add(dwarf_names::place root) {
    ::Dwarf_Die child;
    if (::dwarf_child(&root.die, &child) == 0) walk(root, child, no_scope, false, 0);
    flatten();
    return whole_;
  }

 private:
  static constexpr int deepest = 200;

  struct known_name {
    const dwarf_file* file;
    std::uint64_t offset;  // + 1; 0 if empty
    std::uint32_t name;
  };
  struct extent {
    std::uint32_t low, high, scope, depth;
  };

  // Walks this DIE and those after it, with everything inside them.
  void walk(const dwarf_names::place& unit, ::Dwarf_Die die, std::uint32_t around, bool in_function,
            int depth) {
    if (depth > deepest) {
      whole_ = false;
      return;
    }
    for (;;) {
      // Damaged references to siblings may lead back; DIEs already seen are skipped.
      const std::uint64_t offset = ::dwarf_dieoffset(&die);
      if (offset <= last_ || ++dies_ > most_dies) {
        whole_ = false;
        return;
      }
      last_ = offset;
      std::uint32_t inside = around;
      bool function = in_function;
      bool enter = false;
      switch (::dwarf_tag(&die)) {
        case DW_TAG_subprogram:
          inside = add_scope(unit, die, no_scope, depth);
          enter = function = true;
          break;
        case DW_TAG_inlined_subroutine:
          inside = add_scope(unit, die, around, depth);
          enter = true;
          if (inside == no_scope) inside = around;
          break;
        case DW_TAG_lexical_block:
        case DW_TAG_try_block:
        case DW_TAG_catch_block:
        case DW_TAG_with_stmt:
          enter = true;
          break;
        // g++ writes the code of a lambda, or of a local class, into the surrounding function, even
        // if that has no code itself because it is inlined everywhere.
        case DW_TAG_structure_type:
        case DW_TAG_class_type:
        case DW_TAG_union_type:
          enter = in_function;
          inside = no_scope;
          break;
        case DW_TAG_namespace:
        case DW_TAG_module:
          enter = true;
          break;
        default:
          break;
      }
      ::Dwarf_Die child;
      if (enter && ::dwarf_child(&die, &child) == 0) walk(unit, child, inside, function, depth + 1);
      if (::dwarf_siblingof(&die, &die) != 0) return;
    }
  }

  // Returns no_scope if it has no code.
  std::uint32_t add_scope(const dwarf_names::place& unit, ::Dwarf_Die& die, std::uint32_t around,
                          int depth) {
    const auto fresh = static_cast<std::uint32_t>(to_.scopes.size());
    function_attributes of(die);
    bool any = false;
    ranges_.each(of, [&](std::uint64_t low, std::uint64_t high) {
      if (!to_.holds(low, high)) return;
      if (extents_.size() >= most_dies) {
        whole_ = false;
        return;
      }
      extents_.push_back(
          {to_.place_of(low), to_.place_of(high), fresh, static_cast<std::uint32_t>(depth)});
      any = true;
    });
    if (!any || fresh == no_scope) return no_scope;
    dwarf_names::place p = unit;
    p.die = die;
    scope s;
    s.around = around;
    s.name = name_of(p, of);
    if (around != no_scope) {
      s.call_file = small_number(of.call_file);
      s.call_line = small_number(of.call_line);
      s.call_column = small_number(of.call_column);
    }
    to_.scopes.push_back(s);
    return fresh;
  }

  // An inlined function has one name, however often it is inlined.
  std::uint32_t name_of(dwarf_names::place& function, function_attributes& of) {
    dwarf_names::place from;
    ::Dwarf_Attribute& copied = of.origin.valp != nullptr ? of.origin : of.specification;
    if (copied.valp == nullptr || !names_.origin(function, copied, from)) return add_name(function);
    const known_name wanted{from.file, from.offset() + 1, 0};
    if (2 * (named_ + 1) > known_.size()) grow();
    known_name& slot = slot_of(wanted);
    if (slot.offset != 0) return slot.name;
    // The name is added first: it may throw.
    slot = {wanted.file, wanted.offset, add_name(function)};
    ++named_;
    return slot.name;
  }

  std::uint32_t add_name(dwarf_names::place& function) {
    const function_name name = names_.name_of(function);
    to_.names.push_back({to_.add_text(name.text), name.start_line, name.linker_name});
    return static_cast<std::uint32_t>(to_.names.size() - 1);
  }

  known_name& slot_of(const known_name& wanted) noexcept {
    const std::size_t mask = known_.size() - 1;
    std::size_t i = sys::mix64(wanted.offset) & mask;
    while (known_[i].offset != 0 &&
           (known_[i].offset != wanted.offset || known_[i].file != wanted.file)) {
      i = (i + 1) & mask;
    }
    return known_[i];
  }

  void grow() {
    sys::mapped_array<known_name> before;
    before.resize(known_.empty() ? 1024 : known_.size() * 2);
    before.swap(known_);
    for (const known_name& k : before) {
      if (k.offset != 0) slot_of(k) = k;
    }
  }

  // Turns nested ranges into steps. A range that exceeds its outer one is cut.
  void flatten() {
    sys::sort(extents_, [](const extent& a, const extent& b) {
      return a.low != b.low ? a.low < b.low : a.depth < b.depth;
    });
    sys::vector<extent> open;
    const auto step = [this](std::uint32_t at, std::uint32_t scope) {
      if (to_.steps.size() > first_step_ && to_.steps.back().at == at) {
        to_.steps.back().scope = scope;
      } else {
        to_.steps.push_back({at, scope});
      }
    };
    const auto leave = [&](std::uint32_t until) {
      while (!open.empty() && open.back().high <= until) {
        const std::uint32_t end = open.back().high;
        open.pop_back();
        while (!open.empty() && open.back().high <= end) open.pop_back();
        step(end, open.empty() ? no_scope : open.back().scope);
      }
    };
    first_step_ = to_.steps.size();
    for (extent e : extents_) {
      leave(e.low);
      if (!open.empty() && open.back().depth < e.depth && e.high > open.back().high) {
        e.high = open.back().high;
      }
      if (e.high <= e.low) continue;
      step(e.low, e.scope);
      open.push_back(e);
    }
    leave(0xffffffff);
  }

  line_tables& to_;
  dwarf_names& names_;
  const range_reader& ranges_;
  sys::mapped_array<extent> extents_;
  std::size_t first_step_ = 0;
  sys::mapped_array<known_name> known_;  // hashed by their origins; half empty
  std::size_t named_ = 0;
  std::uint64_t last_ = 0;
  std::size_t dies_ = 0;
  bool whole_ = true;
};
using scope_builder = basic_scope_builder<>;

}  // namespace whence::inline v1::symbols

#endif  // WHENCE_SYMBOLS_DWARF_SCOPES_HPP
