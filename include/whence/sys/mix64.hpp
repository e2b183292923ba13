// SPDX-License-Identifier: Apache-2.0
//
// Spreads values that differ in few bits, as addresses do, over all bits. A bijection: two values
// never share a hash. (Knuth's multiplicative hash; the upper half is folded onto the lower.)
#ifndef WHENCE_SYS_MIX64_HPP
#define WHENCE_SYS_MIX64_HPP

#include <cstdint>

namespace whence::inline v1::sys {

constexpr std::uint64_t mix64(std::uint64_t value) noexcept {
  value *= 0x9e3779b97f4a7c15;  // 2^64 / golden ratio
  return value ^ (value >> 32);
}

}  // namespace whence::inline v1::sys

#endif  // WHENCE_SYS_MIX64_HPP
