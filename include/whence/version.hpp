// SPDX-License-Identifier: Apache-2.0
//
// The version, in the only place that has it: CMake reads the three numbers from here.
#ifndef WHENCE_VERSION_HPP
#define WHENCE_VERSION_HPP

#include <whence/config.hpp>

#define WHENCE_VERSION_MAJOR 1
#define WHENCE_VERSION_MINOR 0
#define WHENCE_VERSION_PATCH 0

namespace whence::inline v1 {

inline constexpr int version_major = WHENCE_VERSION_MAJOR;
inline constexpr int version_minor = WHENCE_VERSION_MINOR;
inline constexpr int version_patch = WHENCE_VERSION_PATCH;

}  // namespace whence::inline v1

#endif  // WHENCE_VERSION_HPP
