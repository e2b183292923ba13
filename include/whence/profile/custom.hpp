// SPDX-License-Identifier: Apache-2.0
//
// The values of custom profiles, by key: profile::add and profile::remove are made of these
// functions.
#ifndef WHENCE_PROFILE_CUSTOM_HPP
#define WHENCE_PROFILE_CUSTOM_HPP

#include <cstdint>
#include <stdexcept>
#include <string>

#include <whence/profile/live_map.hpp>
#include <whence/profile/process_state.hpp>
#include <whence/profile/profile.hpp>
#include <whence/profile/profile_key.hpp>
#include <whence/stack/bucket.hpp>
#include <whence/sys/raise.hpp>

namespace whence::inline v1::core {

inline void require_custom(const profile& p, const char* verb) {
  if (p.kind() == kind::custom) return;
  sys::raise<std::logic_error>(std::string(verb) + ": \"" + std::string(p.name()) +
                               "\" is a predefined profile, only custom ones take values");
}

inline insertion insert_value(process_state& s, const profile_key& key, stack::bucket* b) noexcept {
  return key.wide() ? s.wide_values.insert(key.wide_bits(), {b, 0})
                    : s.values.insert(key.narrow_bits(), {b, 0});
}

inline stack::bucket* erase_value(process_state& s, const profile_key& key,
                                  std::uint16_t list) noexcept {
  return key.wide() ? s.wide_values.erase(key.wide_bits(), list).bucket
                    : s.values.erase(key.narrow_bits(), list).bucket;
}

}  // namespace whence::inline v1::core

#endif  // WHENCE_PROFILE_CUSTOM_HPP
