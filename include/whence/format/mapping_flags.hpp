// SPDX-License-Identifier: Apache-2.0
//
// What is known about each mapping's code; a profile says it in has_functions and its siblings.
// Readers then need not look for it: pprof, symbolz and Pyroscope skip a module that has functions,
// and complete one without, if they have its file.
//
// A module is without symbols if none of its addresses in the profile has a name, and so is a
// stripped one if any address lacks a name: a program exports functions of the standard library's
// templates, and a reader that sees one of them must not take it for all. In a module with symbols,
// an address without a name is final: no other tool has a name for it. A mapping that is not a file
// keeps its flags, since no reader can add names to it.
#ifndef WHENCE_FORMAT_MAPPING_FLAGS_HPP
#define WHENCE_FORMAT_MAPPING_FLAGS_HPP

#include <cstdint>
#include <span>

#include <whence/names.hpp>
#include <whence/symbols/function_name.hpp>
#include <whence/symbols/mappings.hpp>
#include <whence/symbols/symbolizer.hpp>
#include <whence/sys/vector.hpp>
#include <whence/tables/pseudo_frame.hpp>

namespace whence::inline v1::format {

template <class = void>
class basic_mapping_flags {
 public:
  struct parts {
    bool functions = false, files = false, lines = false, inlined = false;
    bool incomplete = false;  // other tools may know more
  };

  // Mapping ids begin with 1. Throws: std::bad_alloc.
  basic_mapping_flags(std::span<const symbols::mapping> mappings, symbol_mode mode)
      : mappings_(mappings), mode_(mode) {
    const bool all = mode == symbol_mode::all;
    known_.resize(mappings.size(), parts{all, all, all, all, false});
  }

  // `is_stripped`: the module has no names but those it exports.
  void add(std::uint64_t mapping, std::span<const symbols::frame> frames,
           bool is_stripped) noexcept {
    if (is_stripped && mode_ != symbol_mode::all && !is_named(frames))
      known_[mapping - 1].incomplete = true;
    parts& known = known_[mapping - 1];
    // Pseudo-frames have our own names, which are complete.
    if (mappings_[mapping - 1].start < tables::first_code_address) known.functions = true;
    for (const symbols::frame& f : frames) {
      known.functions = known.functions || !symbols::is_placeholder(f.name);
      known.files = known.files || !f.file.empty();
      known.lines = known.lines || f.line != 0;
    }
    // A source of lines also gives inlined frames.
    known.inlined = known.inlined || known.lines;
  }

  parts of(std::uint64_t mapping) const noexcept {
    const parts& known = known_[mapping - 1];
    return known.incomplete ? parts{} : known;
  }

  // True if an address is left without lines, so that others may add its names.
  bool is_deferred(std::uint64_t mapping, std::span<const symbols::frame> frames) const noexcept {
    return mode_ == symbol_mode::deferred && !of(mapping).functions && !is_named(frames) &&
           mappings_[mapping - 1].filename.starts_with('/');
  }

 private:
  static bool is_named(std::span<const symbols::frame> frames) noexcept {
    for (const symbols::frame& f : frames) {
      if (!symbols::is_placeholder(f.name)) return true;
    }
    return false;
  }

  std::span<const symbols::mapping> mappings_;
  symbol_mode mode_;
  sys::vector<parts> known_;
};
using mapping_flags = basic_mapping_flags<>;

}  // namespace whence::inline v1::format

#endif  // WHENCE_FORMAT_MAPPING_FLAGS_HPP
