// SPDX-License-Identifier: Apache-2.0
//
// The name of a function from its DIE: the linker's name, which is in the DIE or in one that it was
// made from (DW_AT_abstract_origin, DW_AT_specification), even in another unit or file. g++ writes
// none for functions that no other unit can call: lambdas, members of local classes, functions in
// anonymous namespaces. Their name is made from the DIEs around the declaration:
// shop::price::{lambda at cart.cpp:12}.
#ifndef WHENCE_SYMBOLS_DWARF_NAMES_HPP
#define WHENCE_SYMBOLS_DWARF_NAMES_HPP

#include <dwarf.h>
#include <elfutils/libdw.h>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include <whence/symbols/dwarf_file.hpp>
#include <whence/symbols/line_program.hpp>
#include <whence/sys/algorithms.hpp>
#include <whence/sys/flat_index.hpp>
#include <whence/sys/mapped_array.hpp>
#include <whence/sys/mix64.hpp>
#include <whence/sys/vector.hpp>

namespace whence::inline v1::symbols {

struct function_name {
  std::string text;
  bool linker_name = false;
  std::uint32_t start_line = 0;
};

// Opens the units that names refer to, and keeps the views until close().
template <class = void>
class basic_dwarf_names {
 public:
  struct place {
    dwarf_file* file = nullptr;
    std::size_t unit = 0;
    ::Dwarf_Die die{};

    std::uint64_t offset() noexcept {  // from the file's beginning
      return file->units()[unit].offset + ::dwarf_dieoffset(&die);
    }
  };

  // `supplement`: what dwz moved out of several files into one; nullptr if it does not exist.
  explicit basic_dwarf_names(dwarf_file* supplement) : supplement_(supplement) {
    if (supplement_ != nullptr) supplement_text_ = supplement_->image.open(supplement_->slices[0]);
  }
  basic_dwarf_names(const basic_dwarf_names&) = delete;
  basic_dwarf_names& operator=(const basic_dwarf_names&) = delete;

  // nullptr if libdw refuses it. Valid until close().
  ::Dwarf* view(dwarf_file& file, std::size_t unit) {
    for (const opened& o : open_) {
      if (o.file == &file && o.unit == unit) return o.handle.get();
    }
    opened o{&file, unit, file.open(unit)};
    if (o.handle && supplement_text_) ::dwarf_setalt(o.handle.get(), supplement_text_.get());
    ::Dwarf* const dwarf = o.handle.get();
    open_.push_back(std::move(o));
    return dwarf;
  }
  void close() noexcept { open_.clear(); }

  // Where a split unit's files are listed if it has no list itself, as in clang's output.
  void use_files_of(const dwarf_file& file, const dwarf_unit& skeleton, std::uint64_t at) noexcept {
    listing_file_ = &file;
    listing_unit_ = &skeleton;
    listing_ = at;
  }

  // A file's path by the number that a unit gave it.
  std::string file_of(place& unit, std::uint64_t number, std::string_view folder) {
    const line_program own(*unit.file, unit.file->units()[unit.unit],
                           line_table_of(*unit.file, unit.die), folder);
    if (own.good() || !unit.file->is_split || listing_file_ == nullptr) return own.file(number);
    return line_program(*listing_file_, *listing_unit_, listing_, folder).file(number);
  }

  // False if libdw cannot show it.
  bool root(dwarf_file& file, std::size_t unit, place& to) {
    ::Dwarf* const dwarf = view(file, unit);
    to.file = &file;
    to.unit = unit;
    return dwarf != nullptr &&
           ::dwarf_offdie(dwarf, file.units()[unit].first_die, &to.die) != nullptr;
  }

  // What the function is a copy of: the last of the chain.
  function_name name_of(place function) {
    if (open_.size() > most_views) close_others(function);
    function_name name;
    bool first = true;
    place declared = function;
    for (int i = 0; i < longest_chain; ++i) {
      if (first || name.start_line == 0) {
        const auto line = constant_of(declared.die, DW_AT_decl_line);
        if (line && *line <= 0xffffffff) name.start_line = static_cast<std::uint32_t>(*line);
      }
      first = false;
      for (const unsigned attribute :
           {unsigned{DW_AT_linkage_name}, unsigned{DW_AT_MIPS_linkage_name}}) {
        if (!name.linker_name && text_of(declared.die, attribute, name.text))
          name.linker_name = true;
      }
      place next;
      if (!origin(declared, next)) break;
      declared = next;
    }
    if (!name.linker_name) name.text = path_of(declared, 0);
    return name;
  }

  // The DIE that this one was made from; false if it has none.
  bool origin(place& from, place& to) {
    ::Dwarf_Attribute a;
    return (has_attribute(from.die, DW_AT_abstract_origin, a) ||
            has_attribute(from.die, DW_AT_specification, a)) &&
           follow(from, a, to);
  }

  static bool text_of(::Dwarf_Die& die, unsigned name, std::string& to) {
    ::Dwarf_Attribute a;
    if (!has_attribute(die, name, a)) return false;
    const char* const text = ::dwarf_formstring(&a);
    if (text == nullptr || *text == '\0') return false;
    to.assign(text, ::strnlen(text, longest_text));
    return true;
  }

  // The same for a given attribute.
  bool origin(place& from, ::Dwarf_Attribute& a, place& to) { return follow(from, a, to); }

 private:
  static constexpr std::size_t most_views = 64;
  static constexpr int longest_chain = 16;
  static constexpr int deepest = 64;
  static constexpr std::size_t longest_text = 65536;

  struct family {
    const dwarf_file* file;
    std::uint64_t parent;    // in the file
    std::size_t begin, end;  // in children_
  };
  struct opened {
    dwarf_file* file;
    std::size_t unit;
    dwarf_handle handle;
  };

  // Requires: the caller holds nothing of the other units.
  void close_others(const place& kept) {
    sys::erase_if(open_,
                  [&kept](const opened& o) { return o.file != kept.file || o.unit != kept.unit; });
  }

  bool follow(place& from, ::Dwarf_Attribute& a, place& to) {
    dwarf_file* file = nullptr;
    std::size_t size = from.file->units()[from.unit].offset_bytes;
    switch (a.form) {
      case DW_FORM_ref_addr:
        file = from.file;
        if (from.file->units()[from.unit].version < 3)
          size = from.file->units()[from.unit].address_bytes;
        break;
      case DW_FORM_GNU_ref_alt:
        file = supplement_;
        break;
      case DW_FORM_ref_sup4:
        file = supplement_;
        size = 4;
        break;
      case DW_FORM_ref_sup8:
        file = supplement_;
        size = 8;
        break;
      case DW_FORM_ref_sig8:
        return false;
      default:
        to = from;
        return ::dwarf_formref_die(&a, &to.die) != nullptr;
    }
    std::uint64_t offset = 0;
    if (file == nullptr || size > sizeof offset || !from.file->image.holds(a.valp, size))
      return false;
    std::memcpy(&offset, a.valp, size);
    const auto unit = file->unit_at(offset);
    if (!unit) return false;
    ::Dwarf* const dwarf = view(*file, *unit);
    to.file = file;
    to.unit = *unit;
    return dwarf != nullptr &&
           ::dwarf_offdie(dwarf, offset - file->units()[*unit].offset, &to.die) != nullptr;
  }

  // ---- names by scopes

  std::string path_of(place it, int depth) {
    if (depth > deepest) return {};
    place declared = it;
    place next;
    for (int i = 0; i < longest_chain && origin(declared, next); ++i) declared = next;
    sys::vector<place> around;
    if (!enclosing(declared, around)) return own_name(declared);
    std::string path;
    for (std::size_t i = 0; i < around.size(); ++i) {
      place& p = around[i];
      // The contents of a function that is defined elsewhere than it is declared.
      if (is_function(p.die) && origin(p, next)) {
        path = path_of(p, depth + 1);
      } else {
        add_scope(path, own_name(p));
      }
      if (path.size() > longest_text) return path;
    }
    add_scope(path, own_name(declared));
    return path;
  }

  // The call operator of a lambda stands for the lambda.
  static void add_scope(std::string& path, std::string_view name) {
    if (!is_call_operator(name) || !path.ends_with('}')) add(path, name);
  }

  static void add(std::string& path, std::string_view name) {
    if (name.empty()) return;
    if (!path.empty()) path += "::";
    path += name;
  }

  static bool is_function(::Dwarf_Die& die) noexcept {
    return ::dwarf_tag(&die) == DW_TAG_subprogram;
  }

  std::string own_name(place& p) {
    const int tag = ::dwarf_tag(&p.die);
    std::string name;
    const bool named = text_of(p.die, DW_AT_name, name);
    switch (tag) {
      case DW_TAG_namespace:
      case DW_TAG_module:
        return named ? name : "(anonymous namespace)";
      case DW_TAG_class_type:
      case DW_TAG_structure_type:
      case DW_TAG_union_type:
      case DW_TAG_interface_type:
      case DW_TAG_enumeration_type:
        if (named && !name.starts_with("<lambda") && !name.starts_with("._anon")) return name;
        return (is_lambda(p.die, name) ? "{lambda" : "{unnamed type") + declared_at(p) + "}";
      case DW_TAG_subprogram:
        return name;
      default:
        return {};
    }
  }

  static bool is_lambda(::Dwarf_Die& type, const std::string& name) {
    if (name.starts_with("<lambda")) return true;
    ::Dwarf_Die child;
    int status = ::dwarf_child(&type, &child);
    for (int i = 0; status == 0 && i < 64; ++i, status = ::dwarf_siblingof(&child, &child)) {
      std::string member;
      if (is_function(child) && text_of(child, DW_AT_name, member) && is_call_operator(member))
        return true;
    }
    return false;
  }

  // A generic lambda's operator has template arguments.
  static bool is_call_operator(std::string_view name) noexcept {
    return name == "operator()" || name.starts_with("operator()<");
  }

  // Only the file's last part, since it becomes part of a name.
  std::string declared_at(place& p) {
    const auto line = constant_of(p.die, DW_AT_decl_line);
    const auto file = constant_of(p.die, DW_AT_decl_file);
    place unit;
    if (!line || !file || !root(*p.file, p.unit, unit)) return {};
    const std::string path = file_of(unit, *file, {});
    return " at " + path.substr(path.rfind('/') + 1) + ":" + std::to_string(*line);
  }

  // The DIEs around one, outermost first; lexical blocks have no name, so they are left out.
  bool enclosing(place& it, sys::vector<place>& to) {
    const std::uint64_t wanted = ::dwarf_dieoffset(&it.die);
    place at;
    if (!root(*it.file, it.unit, at)) return false;
    for (int depth = 0; depth < deepest; ++depth) {
      const std::span<const std::uint64_t> all = children_of(at);
      const std::size_t after =
          sys::first_after(all, [wanted](std::uint64_t offset) { return wanted < offset; });
      if (after == 0) return false;
      const std::uint64_t offset = all[after - 1];
      if (offset == wanted) return true;
      ::Dwarf* const dwarf = view(*at.file, at.unit);
      if (::dwarf_offdie(dwarf, offset, &at.die) == nullptr) return false;
      to.push_back(at);
    }
    return false;
  }

  // The DIEs are in the unit's order, and kept, since many names lead through the same DIEs.
  std::span<const std::uint64_t> children_of(place& parent) {
    const std::uint64_t of = parent.offset();
    const std::uint64_t hash = sys::mix64(of);
    std::uint32_t at = by_parent_.find(hash, [&](std::uint32_t i) {
      return families_[i].file == parent.file && families_[i].parent == of;
    });
    if (at == sys::flat_index::none) {
      at = static_cast<std::uint32_t>(families_.size());
      families_.push_back({parent.file, of, children_.size(), children_.size()});
      ::Dwarf_Die child;
      std::uint64_t before = 0;
      for (int status = ::dwarf_child(&parent.die, &child); status == 0;
           status = ::dwarf_siblingof(&child, &child)) {
        const std::uint64_t here = ::dwarf_dieoffset(&child);
        if (here <= before) break;  // damaged
        before = here;
        children_.push_back(here);
      }
      families_[at].end = children_.size();
      by_parent_.insert(hash, at);
    }
    return {children_.data() + families_[at].begin, children_.data() + families_[at].end};
  }

  const dwarf_file* listing_file_ = nullptr;
  const dwarf_unit* listing_unit_ = nullptr;
  std::uint64_t listing_ = 0;
  dwarf_file* supplement_;
  dwarf_handle supplement_text_;
  sys::vector<opened> open_;
  sys::mapped_array<family> families_;
  sys::flat_index by_parent_;  // indexes families_
  sys::mapped_array<std::uint64_t> children_;
};
using dwarf_names = basic_dwarf_names<>;

}  // namespace whence::inline v1::symbols

#endif  // WHENCE_SYMBOLS_DWARF_NAMES_HPP
