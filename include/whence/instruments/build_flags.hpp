// SPDX-License-Identifier: Apache-2.0
//
// The settings of a translation unit, left in a section whose words the module that reads compares
// (state/build_flags_check.hpp). Cost: 4 bytes.
#ifndef WHENCE_INSTRUMENTS_BUILD_FLAGS_HPP
#define WHENCE_INSTRUMENTS_BUILD_FLAGS_HPP

#include <whence/config.hpp>

namespace whence::inline v1::instruments {

// Marks a unit that may only record. Of its settings, only those that change layouts are compared.
inline constexpr unsigned of_recording_unit = 1U << 31;

// It is static, because each translation unit has one.
[[gnu::section("whence_settings"), gnu::used,
  gnu::retain]] static const unsigned settings_of_this_unit =
    config::settings_word | of_recording_unit;

}  // namespace whence::inline v1::instruments

#endif  // WHENCE_INSTRUMENTS_BUILD_FLAGS_HPP
