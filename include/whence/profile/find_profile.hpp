// SPDX-License-Identifier: Apache-2.0
//
// Profiles for those who record: they always get one. Where none can be had (no memory, or the name
// is taken by a profile of another kind), events go to a profile that nobody lists.
#ifndef WHENCE_PROFILE_FIND_PROFILE_HPP
#define WHENCE_PROFILE_FIND_PROFILE_HPP

#include <string_view>

#include <whence/profile/attach.hpp>
#include <whence/profile/environment.hpp>
#include <whence/profile/process_state.hpp>

namespace whence::inline v1::core {

inline profile& nowhere() noexcept {
  alignas(profile) static constinit unsigned char memory[sizeof(profile)]{};
  static profile& it = *profile_directory::make_unlisted(memory);
  return it;
}

inline profile& predefined(kind k) noexcept {
  process_state* const s = state();
  return s != nullptr ? s->of(k) : nowhere();
}

inline profile& find_or_make(std::string_view name, kind k,
                             const profile* shown = nullptr) noexcept {
  process_state* const s = state();
  if (s == nullptr) return nowhere();
  profile* const p = s->profiles.find_or_make(name, info(k).description, k, shown).it;
  if (p != nullptr && p->kind() == k) return *p;
  if (p != nullptr) {
    say("whence: a profile of another kind has the name, its events are not shown: ");
    say(name.data());
    say("\n");
  }
  return nowhere();
}

}  // namespace whence::inline v1::core

#endif  // WHENCE_PROFILE_FIND_PROFILE_HPP
