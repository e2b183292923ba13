// SPDX-License-Identifier: Apache-2.0
//
// Finds profiles for code that records. It always returns one: if no module of the process reads,
// it is an object that nothing is recorded into.
#ifndef WHENCE_INSTRUMENTS_PREDEFINED_HPP
#define WHENCE_INSTRUMENTS_PREDEFINED_HPP

#include <whence/instruments/kind.hpp>
#include <whence/instruments/recorder.hpp>
#include <whence/names.hpp>
#include <whence/sys/atomic_word.hpp>

namespace whence::inline v1::instruments {

// Hidden, because it asks this module's link. Not inlined, because only slow paths call it.
[[gnu::noinline, gnu::cold, gnu::visibility("hidden")]] inline profile& predefined(
    kind k) noexcept {
  const recorder* const r = recorder_here();
  return r != nullptr ? r->predefined(k) : no_profile();
}

// A profile that is looked up by name once and then remembered.
class found_profile {
 public:
  // `other`: if given, the name of the profile that shows the same rows in another way.
  profile& get(const char* name, kind k, const char* other = nullptr) noexcept {
    profile* const p = known_.load(sys::acquire);
    return p != nullptr ? *p : find(name, k, other);
  }

 private:
  [[gnu::noinline, gnu::cold]] profile& find(const char* name, kind k, const char* other) noexcept {
    const recorder* const r = recorder_here();
    if (r == nullptr) return no_profile();
    profile& p = r->find_or_make(name, k, nullptr);
    if (other != nullptr) r->find_or_make(other, also_shown_as(k), &p);
    known_.store(&p, sys::release);
    return p;
  }

  sys::atomic_word<profile*> known_{nullptr};
};

}  // namespace whence::inline v1::instruments

#endif  // WHENCE_INSTRUMENTS_PREDEFINED_HPP
