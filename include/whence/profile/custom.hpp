// SPDX-License-Identifier: Apache-2.0
//
// add, remove and count of class profile: values of a custom profile by key.
#ifndef WHENCE_PROFILE_CUSTOM_HPP
#define WHENCE_PROFILE_CUSTOM_HPP

#include <cstddef>
#include <cstdint>
#include <stdexcept>
#include <string>

#include <whence/profile/attach.hpp>
#include <whence/profile/counters.hpp>
#include <whence/profile/process_state.hpp>
#include <whence/profile/profile.hpp>
#include <whence/profile/record.hpp>
#include <whence/sys/raise.hpp>

namespace whence::inline v1 {

namespace core {

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

}  // namespace core

[[gnu::noinline]] inline void profile::add(profile_key value, int skip) {
  core::require_custom(*this, "profile::add");
  if (skip < 0) sys::raise<std::logic_error>("profile::add: skip is negative");
  core::process_state* const s = core::state();
  if (s == nullptr) return;
  stack::bucket* const b = core::record_stack(*s, *rows_, {}, __builtin_return_address(0),
                                              static_cast<std::size_t>(skip));
  if (b == nullptr) return;
  b->add(core::live_counter, 1);
  switch (core::insert_value(*s, value, b)) {
    case core::insertion::done:
      return;
    case core::insertion::full:  // remove could never find it, so it does not stay
      b->add(core::live_counter, -1);
      s->losses.count(stack::loss::untracked_live);
      return;
    case core::insertion::present:
      b->add(core::live_counter, -1);
      sys::raise<std::invalid_argument>("profile::add: the value is already in profile \"" +
                                        std::string(name_) + "\"");
  }
}

inline bool profile::remove(profile_key value) {
  core::require_custom(*this, "profile::remove");
  core::process_state* const s = core::state();
  if (s == nullptr) return false;
  stack::bucket* const b = core::erase_value(*s, value, rows_->id);
  if (b == nullptr) return false;
  b->add(core::live_counter, -1);
  return true;
}

}  // namespace whence::inline v1

#endif  // WHENCE_PROFILE_CUSTOM_HPP
