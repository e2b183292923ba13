// SPDX-License-Identifier: Apache-2.0
//
// Units of time, in the nanoseconds that the library counts in.
#ifndef WHENCE_TESTS_UNITS_HPP
#define WHENCE_TESTS_UNITS_HPP

#include <cstdint>

namespace whence_tests {

inline constexpr std::int64_t ms = 1'000'000;

}  // namespace whence_tests

#endif  // WHENCE_TESTS_UNITS_HPP
