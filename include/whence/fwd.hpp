// SPDX-License-Identifier: Apache-2.0
//
// Forward declarations of every public class and template, for headers that name them by reference
// or pointer. The default of tracked_mutex is std::mutex, which only the standard library may
// declare: including <mutex> is nearly all that this file costs. Headers that do not name
// tracked_mutex<> include names.hpp instead.
#ifndef WHENCE_FWD_HPP
#define WHENCE_FWD_HPP

#include <whence/config.hpp>

#include <mutex>

#include <whence/names.hpp>

namespace whence::inline v1 {

template <class M = std::mutex, profile_registry R = default_registry>
class tracked_mutex;

}  // namespace whence::inline v1

#endif  // WHENCE_FWD_HPP
