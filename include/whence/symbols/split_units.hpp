// SPDX-License-Identifier: Apache-2.0
//
// Files beside a module that hold a part of its debug information:
//
//   NAME.dwo       one per object file (-gsplit-dwarf), named by the skeleton unit; its id is there
//   MODULE.dwp     many of them packed into one; .debug_cu_index tells the part of each unit:
//                  | version, columns, units, slots | ids | rows | column kinds | offsets | sizes |
//   supplement     what dwz found in several files, named by .gnu_debugaltlink or .debug_sup, by
//                  build-id
//
// Each is accepted only if it has the wanted id.
#ifndef WHENCE_SYMBOLS_SPLIT_UNITS_HPP
#define WHENCE_SYMBOLS_SPLIT_UNITS_HPP

#include <dwarf.h>
#include <elfutils/libdw.h>
#include <unistd.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <whence/symbols/build_id.hpp>
#include <whence/symbols/byte_source.hpp>
#include <whence/symbols/debug_file.hpp>
#include <whence/symbols/debug_image.hpp>
#include <whence/symbols/dwarf_file.hpp>
#include <whence/symbols/elf.hpp>
#include <whence/sys/owner.hpp>
#include <whence/sys/vector.hpp>

namespace whence::inline v1::symbols {

inline void note_split_id(dwarf_unit& u, ::Dwarf_Die& root) {
  if (u.version < 5) u.split_id = constant_of(root, DW_AT_GNU_dwo_id).value_or(0);
}

template <class = void>
inline std::string folder_of(const std::string& path) {
  return path.substr(0, path.rfind('/') + 1);
}

// A split unit and the file it is in.
struct split_unit {
  dwarf_file* file = nullptr;
  std::size_t unit = 0;
};

// Notes at its end whether a later attempt at the file may find more.
struct noted_error {
  const byte_source& source;
  bool& may_pass;
  ~noted_error() { may_pass = may_pass || symbols::may_pass(source.error()); }
};

template <class = void>
class basic_split_units {
 public:
  explicit basic_split_units(const std::string& module) : module_(module) {}

  // `name`, `folder`: DW_AT_dwo_name and DW_AT_comp_dir of the skeleton. Valid until the next call.
  std::optional<split_unit> find(std::uint64_t id, const std::string& name,
                                 const std::string& folder, std::string& why) {
    if (const auto packed = find_packed(id, why)) return packed;
    const std::string base = name.substr(name.rfind('/') + 1);
    std::vector<std::string> candidates;
    if (name.starts_with('/')) {
      candidates.push_back(name);
    } else {
      candidates.push_back(folder + "/" + name);
      candidates.push_back(folder_of(module_) + name);
    }
    candidates.push_back(folder_of(module_) + base);
    for (const std::string& candidate : candidates) {
      const file_source source(candidate.c_str());
      const noted_error at_end{source, may_pass_};
      if (source.size() == 0) continue;
      alone_ = sys::make_owned<dwarf_file>();
      alone_->is_split = true;
      const bool read = alone_->image.read(source, elf(source), true, why);
      may_pass_ = may_pass_ || alone_->image.lacks_memory();
      if (!read) continue;
      (void)alone_->list_units(0, note_split_id);
      for (std::size_t i = 0; i < alone_->units().size(); ++i) {
        if (alone_->units()[i].split_id == id) return split_unit{alone_.get(), i};
      }
    }
    why = (may_pass_ ? "split debug information could not be read: "
                     : "split debug information is not found: ") +
          name;
    return std::nullopt;
  }

  void release() noexcept { alone_.reset(); }
  // True if a later attempt may find what is missing now.
  bool may_pass() const noexcept { return may_pass_; }

 private:
  std::optional<split_unit> find_packed(std::uint64_t id, std::string& why) {
    if (!looked_) {
      looked_ = true;
      const file_source source((module_ + ".dwp").c_str());
      const noted_error at_end{source, may_pass_};
      if (source.size() == 0) return std::nullopt;
      const elf file(source);
      const elf::section* const index = file.find(".debug_cu_index");
      packed_ = sys::make_owned<dwarf_file>();
      packed_->is_split = true;
      if (index == nullptr || !packed_->image.read(source, file, true, why)) {
        may_pass_ = may_pass_ || packed_->image.lacks_memory();
        packed_.reset();
        return std::nullopt;
      }
      index_ = elf::content(source, *index);
    }
    if (packed_ == nullptr || !slices_of(id, packed_->slices[0])) return std::nullopt;
    (void)packed_->list_units(0, note_split_id);
    for (std::size_t i = 0; i < packed_->units().size(); ++i) {
      if (packed_->units()[i].split_id == id) return split_unit{packed_.get(), i};
    }
    return std::nullopt;
  }

  // The parts that belong to a unit.
  bool slices_of(std::uint64_t id, section_slices& to) const {
    const auto word = [this](std::uint64_t at) { return number_at(index_, at, 4).value_or(0); };
    const std::uint64_t version = number_at(index_, 0, 2).value_or(0);
    const std::uint64_t columns = word(4);
    const std::uint64_t units = word(8);
    const std::uint64_t slots = word(12);
    if ((version != 2 && version != 5) || columns > 16 || slots == 0 ||
        (slots & (slots - 1)) != 0 || slots > index_.size()) {
      return false;
    }
    const std::uint64_t step = ((id >> 32U) & (slots - 1)) | 1U;
    std::uint64_t slot = id & (slots - 1);
    for (std::uint64_t i = 0; i < slots; ++i, slot = (slot + step) & (slots - 1)) {
      const std::uint64_t row = word(16 + slots * 8 + slot * 4);
      if (row == 0 || row > units) return false;
      if (number_at(index_, 16 + slot * 8, 8) != id) continue;
      const std::uint64_t kinds = 16 + slots * 12;
      for (std::uint64_t c = 0; c < columns; ++c) {
        const auto which = section_of(word(kinds + c * 4), version);
        if (which == debug_section::count) continue;
        const std::uint64_t offset = kinds + (row * columns + c) * 4;
        to[static_cast<std::size_t>(which)] = {word(offset), word(offset + units * columns * 4)};
      }
      return true;
    }
    return false;
  }

  static debug_section section_of(std::uint64_t kind, std::uint64_t version) noexcept {
    switch (kind) {
      case 1:
        return debug_section::info;
      case 3:
        return debug_section::abbrev;
      case 4:
        return debug_section::line;
      case 6:
        return debug_section::str_offsets;
      case 8:
        return version == 5 ? debug_section::rnglists : debug_section::count;
      default:
        return debug_section::count;
    }
  }

  std::string module_;
  bool looked_ = false;
  bool may_pass_ = false;
  sys::owner<dwarf_file> packed_;
  sys::vector<std::byte> index_;
  sys::owner<dwarf_file> alone_;
};
using split_units = basic_split_units<>;

// dwz's output has the note, but no program header that says where it is.
template <class = void>
inline std::string note_build_id(const byte_source& source, const elf& file) {
  if (!file.build_id().empty()) return file.build_id();
  const elf::section* const note = file.find(".note.gnu.build-id");
  return note == nullptr ? std::string() : find_build_id(elf::content(source, *note), 4);
}

// Identifies a supplement: by .gnu_debugaltlink, or by DWARF 5's .debug_sup, which the supplement
// has as well, without a name.
struct supplement_link {
  bool is_standard = false;    // .debug_sup
  bool is_supplement = false;  // the file is one itself
  std::string name;
  std::string id;  // hex; empty if it has no link
};

template <class = void>
inline supplement_link find_link(const byte_source& source, const elf& file) {
  supplement_link found;
  sys::vector<std::byte> link;
  std::uint64_t at = 0;
  if (const elf::section* const s = file.find(".gnu_debugaltlink")) {
    link = elf::content(source, *s);
  } else if (const elf::section* const sup = file.find(".debug_sup")) {
    // | version, 2 | is one itself, 1 | name, zero | length of the id | id |
    link = elf::content(source, *sup);
    if (link.size() < 3) return found;
    found.is_standard = true;
    found.is_supplement = std::to_integer<int>(link[2]) != 0;
    at = 3;
  }
  found.name = elf::text_at(link, at);
  at += found.name.size() + 1;
  if (at >= link.size() || (found.is_standard && !uleb_at(link, at))) return found;
  found.id = to_hex(std::span(link).subspan(at));
  return found;
}

// The supplement of the file at `path`; nullptr if it names none or the supplement is missing,
// which `why` says. `passing` is set if a later attempt may succeed.
template <class = void>
inline sys::owner<dwarf_file> find_supplement(const byte_source& source, const elf& file,
                                              const std::string& path, std::string& why,
                                              bool& passing) {
  const supplement_link link = find_link(source, file);
  const std::string& name = link.name;
  const std::string& id = link.id;
  if (link.is_supplement || name.empty() || id.size() < 4) return nullptr;
  const std::string by_id =
      "/usr/lib/debug/.build-id/" + id.substr(0, 2) + "/" + id.substr(2) + ".debug";
  for (const std::string& candidate :
       {by_id, name.starts_with('/') ? name : folder_of(path) + name}) {
    const file_source other(candidate.c_str());
    const noted_error at_end{other, passing};
    if (other.size() == 0) continue;
    const elf other_file(other);
    const std::string its_id =
        link.is_standard ? find_link(other, other_file).id : note_build_id(other, other_file);
    if (its_id != id) continue;
    auto found = sys::make_owned<dwarf_file>();
    const bool read = found->image.read(other, other_file, false, why);
    passing = passing || found->image.lacks_memory();
    if (read) {
      (void)found->list_units(0, [](dwarf_unit&, ::Dwarf_Die&) {});
      return found;
    }
  }
  why = "the supplement that dwz made is not found: " + name;
  return nullptr;
}

// The file behind a descriptor; empty if the kernel does not tell.
template <class = void>
inline std::string path_of_descriptor(int descriptor) {
  std::array<char, 4096> path;
  const std::string link = "/proc/thread-self/fd/" + std::to_string(descriptor);
  const ssize_t length = ::readlink(link.c_str(), path.data(), path.size());
  return {path.data(), length > 0 ? static_cast<std::size_t>(length) : 0};
}

}  // namespace whence::inline v1::symbols

#endif  // WHENCE_SYMBOLS_SPLIT_UNITS_HPP
