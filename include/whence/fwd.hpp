// SPDX-License-Identifier: Apache-2.0
//
// Names and default arguments, without a single standard header.
#ifndef WHENCE_FWD_HPP
#define WHENCE_FWD_HPP

#include <whence/config.hpp>

namespace whence::inline v1 {

class profile;
class profile_key;
class sink;
struct profile_snapshot;
struct profile_row;

struct null_registry;
struct predefined_registry;

namespace core {
template <bool Disabled>
struct select_registry {
  using type = predefined_registry;
};
template <>
struct select_registry<true> {
  using type = null_registry;
};
}  // namespace core

// The predefined profiles; with WHENCE_DISABLE, nothing.
using default_registry = core::select_registry<config::disabled>::type;

}  // namespace whence::inline v1

#endif  // WHENCE_FWD_HPP
