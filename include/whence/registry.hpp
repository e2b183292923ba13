// SPDX-License-Identifier: Apache-2.0
//
// Registries say, at compile time, into which profiles an instrument records.
//
//   whence::tracking_allocator<int>                                     -> heap, allocs
//   whence::tracking_allocator<int, whence::named_registry<"storage">>  -> storage.heap, ...
//   whence::tracking_allocator<int, whence::null_registry>              is std::allocator<int>
//
// default_registry   the predefined profiles; null_registry where WHENCE_DISABLE is defined.
// named_registry     its own profiles under a prefix, made when first used. Price: as default.
// null_registry      records nothing: an instrument is what it wraps, in size and machine code.
//
// A registry of your own is any type that meets `profile_registry`. One that also has mutex_hold()
// gets a sample of how long its locks are held.
#ifndef WHENCE_REGISTRY_HPP
#define WHENCE_REGISTRY_HPP

#include <whence/config.hpp>

#include <concepts>
#include <type_traits>

#include <whence/fwd.hpp>
#include <whence/instruments/find_profile.hpp>
#include <whence/instruments/fixed_string.hpp>
#include <whence/instruments/kind.hpp>

namespace whence::inline v1 {

// R::enabled tells whether it records; if so, each function names the profile events go into.
// The functions are called on slow paths only, and may not throw.
template <class R>
concept profile_registry = std::same_as < std::remove_cvref_t<decltype(R::enabled)>,
bool > &&(!R::enabled || requires {
  { R::heap() } -> std::same_as<profile&>;
  { R::block() } -> std::same_as<profile&>;
  { R::mutex() } -> std::same_as<profile&>;
  { R::threadcreate() } -> std::same_as<profile&>;
});

struct null_registry {
  static constexpr bool enabled = false;
};

struct predefined_registry {
  static constexpr bool enabled = true;
  static profile& heap() noexcept { return instruments::predefined(core::kind::heap); }
  static profile& block() noexcept { return instruments::predefined(core::kind::block); }
  static profile& mutex() noexcept { return instruments::predefined(core::kind::mutex); }
  static profile& mutex_hold() noexcept { return instruments::predefined(core::kind::mutex_hold); }
  static profile& threadcreate() noexcept {
    return instruments::predefined(core::kind::threadcreate);
  }
};

template <fixed_string Prefix>
struct prefixed_registry {
  static constexpr bool enabled = true;
  static profile& heap() noexcept { return named<".heap", core::kind::heap>(); }
  static profile& block() noexcept { return named<".block", core::kind::block>(); }
  static profile& mutex() noexcept { return named<".mutex", core::kind::mutex>(); }
  static profile& mutex_hold() noexcept { return named<".mutex_hold", core::kind::mutex_hold>(); }
  static profile& threadcreate() noexcept {
    return named<".threadcreate", core::kind::threadcreate>();
  }

 private:
  template <fixed_string Suffix, core::kind Kind>
  static profile& named() noexcept {
    static constinit instruments::found_profile known;
    if constexpr (Kind == core::kind::heap) {
      return known.get(joined<Prefix, Suffix>::made.text, Kind,
                       joined<Prefix, ".allocs">::made.text);
    } else {
      return known.get(joined<Prefix, Suffix>::made.text, Kind);
    }
  }
};

template <fixed_string Prefix>
using named_registry =
    std::conditional_t<config::disabled, null_registry, prefixed_registry<Prefix>>;

static_assert(profile_registry<default_registry> && profile_registry<null_registry> &&
              profile_registry<predefined_registry>);

}  // namespace whence::inline v1

#endif  // WHENCE_REGISTRY_HPP
