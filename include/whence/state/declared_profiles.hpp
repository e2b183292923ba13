// SPDX-License-Identifier: Apache-2.0
//
// Finds the profiles that loaded modules declare (instruments/declared_profile.hpp), for readers
// that list profiles or miss one. A profile that was found stays, even if its module is unloaded.
#ifndef WHENCE_STATE_DECLARED_PROFILES_HPP
#define WHENCE_STATE_DECLARED_PROFILES_HPP

#include <link.h>

#include <cstddef>
#include <cstring>
#include <string_view>

#include <whence/core/directory.hpp>
#include <whence/core/kinds.hpp>
#include <whence/core/profile.hpp>
#include <whence/instruments/declared_profile.hpp>
#include <whence/instruments/recorder.hpp>
#include <whence/state/process_state.hpp>
#include <whence/sys/elf_note.hpp>
#include <whence/sys/loader.hpp>

namespace whence::inline v1::state {

using found_declaration = instruments::declared_profile<instruments::longest_declared + 1>;

// Copies the first declaration whose name no profile has. Nothing is made meanwhile, because this
// walks the loader's list.
inline bool find_new_declaration(const process_state& s, found_declaration& found) noexcept {
  bool any = false;
  sys::for_each_module([&](const dl_phdr_info& module) {
    sys::for_each_note("whenceP", module, [&](const sys::elf_note& note) {
      if (note.layout != WHENCE_LAYOUT) return false;
      const auto& it = *reinterpret_cast<const instruments::declared_profile<1>*>(note.object);
      const char* const name = it.name;
      if (s.profiles.find(name) != nullptr) return false;
      found.k = it.k;
      std::memcpy(found.name, name, std::strlen(name) + 1);
      return any = true;
    });
    return any;
  });
  return any;
}

// A profile whose rows another kind shows too comes with one of that kind (registry.hpp): the name
// of the first ends with the name of its kind, that of the second with the name of the other.
inline profile* declare(process_state& s, const found_declaration& it) noexcept {
  profile* const made = s.profiles.declare(it.name, core::info(it.k).description, it.k);
  const instruments::kind also = instruments::also_shown_as(it.k);
  if (made == nullptr || also == it.k) return made;
  const core::kind_info& other = core::info(also);
  const std::string_view prefix(it.name, std::strlen(it.name) - std::strlen(core::info(it.k).name));
  const std::string_view suffix = other.name;
  char name[sizeof it.name + core::longest_name];
  suffix.copy(name + prefix.copy(name, prefix.size()), suffix.size());
  return s.profiles.declare({name, prefix.size() + suffix.size()}, other.description, also, made);
}

// Makes every profile that a loaded module declares.
inline void take_declarations(process_state& s) noexcept {
  found_declaration found;
  while (find_new_declaration(s, found)) {
    if (declare(s, found) == nullptr) return;
  }
}

}  // namespace whence::inline v1::state

#endif  // WHENCE_STATE_DECLARED_PROFILES_HPP
