// SPDX-License-Identifier: Apache-2.0
//
// How readers of stacks tell the frames that stand for something other than code (listed in
// tables/pseudo_frame.hpp) from code.
#ifndef WHENCE_TABLES_PSEUDO_ADDRESS_HPP
#define WHENCE_TABLES_PSEUDO_ADDRESS_HPP

#include <cstdint>

#include <whence/tables/pseudo_frame.hpp>

namespace whence::inline v1::tables {

inline constexpr std::uintptr_t truncated_frame = pseudo::truncated;
inline constexpr std::uintptr_t unknown_frame = pseudo::unknown;

// No code is mapped in the first page.
inline constexpr std::uintptr_t first_code_address = 0x1000;
static_assert(pseudo::end <= first_code_address);

constexpr bool is_pseudo(std::uintptr_t address) noexcept {
  return address < first_code_address;
}

// Addresses of the first page that are in no list mean that the walk went wrong.
constexpr std::uintptr_t pseudo_frame_of(std::uintptr_t address) noexcept {
  return address != 0 && address < pseudo::end ? address : unknown_frame;
}

constexpr const char* pseudo_name(std::uintptr_t address) noexcept {
  return pseudo::names[pseudo_frame_of(address)];
}

}  // namespace whence::inline v1::tables

#endif  // WHENCE_TABLES_PSEUDO_ADDRESS_HPP
