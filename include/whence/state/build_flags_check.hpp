// SPDX-License-Identifier: Apache-2.0
//
// Detects translation units of one program that were compiled with different settings: each leaves
// its settings word in one section, whose bounds the linker knows.
#ifndef WHENCE_STATE_BUILD_FLAGS_CHECK_HPP
#define WHENCE_STATE_BUILD_FLAGS_CHECK_HPP

#include <whence/config.hpp>

#include <whence/instruments/build_flags.hpp>

// The bounds of this module's section (ld: "start-stop" symbols).
extern "C" {
[[gnu::visibility("hidden")]] extern const unsigned __start_whence_settings[];
[[gnu::visibility("hidden")]] extern const unsigned __stop_whence_settings[];
}

namespace whence::inline v1::state {

// A unit that reads leaves a word of its own beside the one that every unit leaves.
[[gnu::section("whence_settings"), gnu::used,
  gnu::retain]] static const unsigned reading_settings_of_this_unit = config::settings_word;

// The bits in which units of this module differ from this one; 0 if they agree.
inline unsigned settings_difference() noexcept {
  unsigned difference = 0;
  for (const unsigned* word = __start_whence_settings; word != __stop_whence_settings; ++word) {
    const bool only_records = (*word & instruments::of_recording_unit) != 0;
    difference |= (*word ^ config::settings_word) & (only_records ? config::layout_bits : ~0U);
  }
  return difference;
}

// The warning about it. Units that differ only in a setting that no layout depends on work
// together, but it is chance which of their bodies the linker took.
constexpr const char* settings_warning(unsigned difference) noexcept {
  if (difference == 0) return nullptr;
  if ((difference & config::layout_bits) != 0) {
    return "whence: this program was built from translation units with and without WHENCE_DISABLE, "
           "which do not agree about the layout of classes: this is undefined behaviour\n";
  }
  return "whence: this program was built from translation units with different settings "
         "(WHENCE_COMPILED, WHENCE_WITH_ZLIB, WHENCE_WITH_LIBDW): its profiles may be "
         "incomplete\n";
}

}  // namespace whence::inline v1::state

#endif  // WHENCE_STATE_BUILD_FLAGS_CHECK_HPP
