// SPDX-License-Identifier: Apache-2.0
//
// Profiles for those who record: they always get one. If no module of the process reads, it is a
// place that nothing is recorded into.
#ifndef WHENCE_INSTRUMENTS_FIND_PROFILE_HPP
#define WHENCE_INSTRUMENTS_FIND_PROFILE_HPP

#include <whence/instruments/kind.hpp>
#include <whence/instruments/recorder.hpp>
#include <whence/names.hpp>
#include <whence/sys/word.hpp>

namespace whence::inline v1::instruments {

// Hidden: it asks this module's link. Not inlined: it is on slow paths alone.
[[gnu::noinline, gnu::cold, gnu::visibility("hidden")]] inline profile& predefined(
    core::kind k) noexcept {
  const recorder* const r = recorder_of_profiles();
  return r != nullptr ? r->predefined(k) : no_profile();
}

// A profile by name, found once and then known.
class found_profile {
 public:
  // `allocs`: if given, the name of one that shows the same rows as allocations.
  profile& get(const char* name, core::kind k, const char* allocs = nullptr) noexcept {
    profile* const p = known_.load(sys::acquire);
    return p != nullptr ? *p : find(name, k, allocs);
  }

 private:
  [[gnu::noinline, gnu::cold]] profile& find(const char* name, core::kind k,
                                             const char* allocs) noexcept {
    const recorder* const r = recorder_of_profiles();
    if (r == nullptr) return no_profile();
    profile& p = r->find_or_make(name, k, nullptr);
    if (allocs != nullptr) r->find_or_make(allocs, core::kind::allocs, &p);
    // Without the process's table it is none that stays.
    if (recorder_here() != nullptr) known_.store(&p, sys::release);
    return p;
  }

  sys::word<profile*> known_{nullptr};
};

}  // namespace whence::inline v1::instruments

#endif  // WHENCE_INSTRUMENTS_FIND_PROFILE_HPP
