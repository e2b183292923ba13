// SPDX-License-Identifier: Apache-2.0
//
// Registries say, at compile time, into which profiles an instrument records.
//
//   whence::tracking_allocator<int>                                     -> heap, allocs
//   whence::tracking_allocator<int, whence::named_registry<"storage">>  -> storage.heap, ...
//   whence::tracking_allocator<int, whence::null_registry>              is std::allocator<int>
//
// default_registry   the predefined profiles; null_registry if WHENCE_DISABLE is defined.
// named_registry     profiles of its own under a prefix. Cost: as default.
// null_registry      records nothing: an instrument is what it wraps, in size and machine code.
//
// A registry of your own is any type that meets `profile_registry` (names.hpp). If it also has
// mutex_hold(), it gets a sample of how long its locks are held.
#ifndef WHENCE_REGISTRY_HPP
#define WHENCE_REGISTRY_HPP

#include <whence/config.hpp>

#include <whence/instruments/declared_profile.hpp>
#include <whence/instruments/fixed_string.hpp>
#include <whence/instruments/kind.hpp>
#include <whence/instruments/predefined.hpp>
#include <whence/names.hpp>

namespace whence::inline v1 {

inline profile& predefined_registry::heap() noexcept {
  return instruments::predefined(instruments::kind::heap);
}
inline profile& predefined_registry::block() noexcept {
  return instruments::predefined(instruments::kind::block);
}
inline profile& predefined_registry::mutex() noexcept {
  return instruments::predefined(instruments::kind::mutex);
}
inline profile& predefined_registry::mutex_hold() noexcept {
  return instruments::predefined(instruments::kind::mutex_hold);
}
inline profile& predefined_registry::threadcreate() noexcept {
  return instruments::predefined(instruments::kind::threadcreate);
}

namespace instruments {

template <fixed_string Prefix, fixed_string Suffix, kind Kind>
profile& prefixed_profile() noexcept {
  declare_profile<Prefix, Suffix, Kind>();
  static constinit found_profile known;
  if constexpr (Kind == kind::heap) {
    return known.get(joined<Prefix, Suffix>::made.text, Kind, joined<Prefix, ".allocs">::made.text);
  } else {
    return known.get(joined<Prefix, Suffix>::made.text, Kind);
  }
}

}  // namespace instruments

template <fixed_string Prefix>
profile& prefixed_registry<Prefix>::heap() noexcept {
  return instruments::prefixed_profile<Prefix, ".heap", instruments::kind::heap>();
}
template <fixed_string Prefix>
profile& prefixed_registry<Prefix>::block() noexcept {
  return instruments::prefixed_profile<Prefix, ".block", instruments::kind::block>();
}
template <fixed_string Prefix>
profile& prefixed_registry<Prefix>::mutex() noexcept {
  return instruments::prefixed_profile<Prefix, ".mutex", instruments::kind::mutex>();
}
template <fixed_string Prefix>
profile& prefixed_registry<Prefix>::mutex_hold() noexcept {
  return instruments::prefixed_profile<Prefix, ".mutex_hold", instruments::kind::mutex_hold>();
}
template <fixed_string Prefix>
profile& prefixed_registry<Prefix>::threadcreate() noexcept {
  return instruments::prefixed_profile<Prefix, ".threadcreate", instruments::kind::threadcreate>();
}

static_assert(profile_registry<default_registry> && profile_registry<null_registry> &&
              profile_registry<predefined_registry>);

}  // namespace whence::inline v1

#endif  // WHENCE_REGISTRY_HPP
