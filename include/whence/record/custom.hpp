// SPDX-License-Identifier: Apache-2.0
//
// The values of custom profiles, by key: profile::add and profile::remove are made of these
// functions.
#ifndef WHENCE_RECORD_CUSTOM_HPP
#define WHENCE_RECORD_CUSTOM_HPP

#include <cstdint>
#include <stdexcept>
#include <string>

#include <whence/core/key.hpp>
#include <whence/core/profile.hpp>
#include <whence/state/process_state.hpp>
#include <whence/sys/throw_or_abort.hpp>
#include <whence/tables/bucket.hpp>
#include <whence/tables/live_map.hpp>

namespace whence::inline v1::record {

inline void require_custom(const profile& p, const char* verb) {
  if (p.kind() == instruments::kind::custom) return;
  sys::throw_or_abort<std::logic_error>(std::string(verb) + ": \"" + std::string(p.name()) +
                                        "\" is a predefined profile, only custom ones take values");
}

inline tables::insertion insert_value(state::process_state& s, const profile_key& key,
                                      tables::bucket* b) noexcept {
  return key.wide() ? s.wide_values.insert(key.wide_bits(), {b, 0})
                    : s.values.insert(key.narrow_bits(), {b, 0});
}

inline tables::bucket* erase_value(state::process_state& s, const profile_key& key,
                                   std::uint16_t list) noexcept {
  return key.wide() ? s.wide_values.erase(key.wide_bits(), list).bucket
                    : s.values.erase(key.narrow_bits(), list).bucket;
}

}  // namespace whence::inline v1::record

#endif  // WHENCE_RECORD_CUSTOM_HPP
