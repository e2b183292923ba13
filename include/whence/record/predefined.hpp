// SPDX-License-Identifier: Apache-2.0
//
// Finds profiles for code that records. It always returns one: if there is no memory for a new one,
// or a profile of another kind has the name, events go to a profile that is never listed.
#ifndef WHENCE_RECORD_PREDEFINED_HPP
#define WHENCE_RECORD_PREDEFINED_HPP

#include <whence/core/kinds.hpp>
#include <whence/core/profile.hpp>
#include <whence/instruments/recorder.hpp>
#include <whence/state/attach.hpp>
#include <whence/state/current_settings.hpp>
#include <whence/state/process_state.hpp>

namespace whence::inline v1::record {

// The object that recording pages use as a profile if nothing records must have room for one.
static_assert(sizeof(profile) <= instruments::no_profile_bytes && alignof(profile) <= 16);

inline profile& discard_profile() noexcept {
  alignas(profile) static constinit unsigned char memory[sizeof(profile)]{};
  static profile& it = *profile_directory::make_unlisted(memory);
  return it;
}

inline profile& predefined(instruments::kind k) noexcept {
  return state::attached().of(k);
}

// A new profile shows the rows of `shown`, if that is given, instead of its own.
inline profile& find_or_make(const char* name, instruments::kind k, profile* shown) noexcept {
  profile* const p =
      state::attached().profiles.find_or_make(name, core::info(k).description, k, shown).it;
  if (p != nullptr && p->kind() == k) return *p;
  if (p != nullptr) {
    state::warn("whence: a profile of another kind has the name, its events are not shown: ");
    state::warn(name);
    state::warn("\n");
  }
  return discard_profile();
}

}  // namespace whence::inline v1::record

#endif  // WHENCE_RECORD_PREDEFINED_HPP
