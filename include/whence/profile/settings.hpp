// SPDX-License-Identifier: Apache-2.0
//
// Finds out translation units of one program that were compiled with different settings: each
// leaves its settings word in one section, whose bounds the linker knows.
#ifndef WHENCE_PROFILE_SETTINGS_HPP
#define WHENCE_PROFILE_SETTINGS_HPP

#include <whence/config.hpp>

// The bounds of this module's section (ld: "start-stop" symbols).
extern "C" {
[[gnu::visibility("hidden")]] extern const unsigned __start_whence_settings[];
[[gnu::visibility("hidden")]] extern const unsigned __stop_whence_settings[];
}

namespace whence::inline v1::core {

// One for each translation unit, hence static.
[[gnu::section("whence_settings"), gnu::used,
  gnu::retain]] static const unsigned settings_of_this_unit = config::settings_word;

inline bool settings_differ() noexcept {
  for (const unsigned* word = __start_whence_settings; word != __stop_whence_settings; ++word) {
    if (*word != *__start_whence_settings) return true;
  }
  return false;
}

}  // namespace whence::inline v1::core

#endif  // WHENCE_PROFILE_SETTINGS_HPP
