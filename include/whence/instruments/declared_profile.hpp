// SPDX-License-Identifier: Apache-2.0
//
// A profile that code of this module records into is declared by a note (sys/elf_note.hpp), so that
// readers list it before that code has run. The note is static data: it costs no instruction, and
// 28 bytes and the name in each module (state/declared_profiles.hpp reads it).
#ifndef WHENCE_INSTRUMENTS_DECLARED_PROFILE_HPP
#define WHENCE_INSTRUMENTS_DECLARED_PROFILE_HPP

#include <cstddef>

#include <whence/instruments/fixed_string.hpp>
#include <whence/instruments/kind.hpp>
#include <whence/instruments/recorder.hpp>
#include <whence/names.hpp>
#include <whence/sys/elf_note.hpp>

namespace whence::inline v1::instruments {

// Readers copy a name to their stack. A longer one is listed from its first use on.
inline constexpr std::size_t longest_declared = 255;

// What a note refers to; a reader does not know N.
template <std::size_t N>
struct declared_profile {
  kind k;
  char name[N];
};

template <fixed_string Prefix, fixed_string Suffix, kind Kind>
[[gnu::visibility("hidden")]] inline constexpr auto declaration = [] {
  constexpr std::size_t room = joined<Prefix, Suffix>::length + 1;
  declared_profile<room> d{Kind, {}};
  for (std::size_t i = 0; i < room; ++i) d.name[i] = joined<Prefix, Suffix>::made.text[i];
  return d;
}();

// Declares a profile of that name, if the code that this is inlined into is emitted.
template <fixed_string Prefix, fixed_string Suffix, kind Kind>
[[gnu::always_inline]] inline void declare_profile() noexcept {
  if constexpr (joined<Prefix, Suffix>::length <= longest_declared) {
    WHENCE_ELF_NOTE_OF_EACH("whenceP", WHENCE_LAYOUT, (&declaration<Prefix, Suffix, Kind>));
  }
}

}  // namespace whence::inline v1::instruments

#endif  // WHENCE_INSTRUMENTS_DECLARED_PROFILE_HPP
