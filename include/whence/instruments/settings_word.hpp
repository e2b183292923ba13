// SPDX-License-Identifier: Apache-2.0
//
// What a translation unit was compiled with, left in a section whose words are compared in the
// module that reads (profile/settings.hpp). Cost: 4 bytes.
#ifndef WHENCE_INSTRUMENTS_SETTINGS_WORD_HPP
#define WHENCE_INSTRUMENTS_SETTINGS_WORD_HPP

#include <whence/config.hpp>

namespace whence::inline v1::core {

// Says that the unit may only record: then what counts of its settings are those that change
// layouts.
inline constexpr unsigned of_recording_unit = 1U << 31;

// One for each translation unit, hence static.
[[gnu::section("whence_settings"), gnu::used,
  gnu::retain]] static const unsigned settings_of_this_unit =
    config::settings_word | of_recording_unit;

}  // namespace whence::inline v1::core

#endif  // WHENCE_INSTRUMENTS_SETTINGS_WORD_HPP
