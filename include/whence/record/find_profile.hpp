// SPDX-License-Identifier: Apache-2.0
//
// Finds profiles for code that records. It always returns one: if there is no memory, or a profile
// of another kind has the name, events go to a profile that is never listed.
#ifndef WHENCE_RECORD_FIND_PROFILE_HPP
#define WHENCE_RECORD_FIND_PROFILE_HPP

#include <whence/instruments/recorder.hpp>
#include <whence/profile/attach.hpp>
#include <whence/profile/environment.hpp>
#include <whence/profile/kinds.hpp>
#include <whence/profile/process_state.hpp>
#include <whence/profile/profile.hpp>

namespace whence::inline v1::record {

// The object that recording pages use as a profile if nothing records must have room for one.
static_assert(sizeof(profile) <= instruments::no_profile_bytes && alignof(profile) <= 16);

inline profile& nowhere() noexcept {
  alignas(profile) static constinit unsigned char memory[sizeof(profile)]{};
  static profile& it = *profile_directory::make_unlisted(memory);
  return it;
}

inline profile& predefined(core::kind k) noexcept {
  core::process_state* const s = core::state();
  return s != nullptr ? s->of(k) : nowhere();
}

// A new profile shows the rows of `shown`, if that is given, instead of its own.
inline profile& find_or_make(const char* name, core::kind k, profile* shown) noexcept {
  core::process_state* const s = core::state();
  if (s == nullptr) return nowhere();
  profile* const p = s->profiles.find_or_make(name, core::info(k).description, k, shown).it;
  if (p != nullptr && p->kind() == k) return *p;
  if (p != nullptr) {
    core::say("whence: a profile of another kind has the name, its events are not shown: ");
    core::say(name);
    core::say("\n");
  }
  return nowhere();
}

}  // namespace whence::inline v1::record

#endif  // WHENCE_RECORD_FIND_PROFILE_HPP
