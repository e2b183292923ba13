// SPDX-License-Identifier: Apache-2.0
//
// How readers of stacks tell the frames that stand for something other than code (listed in
// stack/pseudo_frames.hpp) from code.
#ifndef WHENCE_PROFILE_PSEUDO_FRAMES_HPP
#define WHENCE_PROFILE_PSEUDO_FRAMES_HPP

#include <cstdint>

#include <whence/stack/pseudo_frames.hpp>

namespace whence::inline v1::core {

inline constexpr std::uintptr_t truncated_frame = stack::pseudo::truncated;
inline constexpr std::uintptr_t unknown_frame = stack::pseudo::unknown;

// No code is mapped in the first page.
inline constexpr std::uintptr_t first_code_address = 0x1000;
static_assert(stack::pseudo::end <= first_code_address);

constexpr bool is_pseudo(std::uintptr_t address) noexcept {
  return address < first_code_address;
}

// Addresses of the first page that are in no list mean that the walk went wrong.
constexpr std::uintptr_t pseudo_frame_of(std::uintptr_t address) noexcept {
  return address != 0 && address < stack::pseudo::end ? address : unknown_frame;
}

constexpr const char* pseudo_name(std::uintptr_t address) noexcept {
  return stack::pseudo::names[pseudo_frame_of(address)];
}

}  // namespace whence::inline v1::core

#endif  // WHENCE_PROFILE_PSEUDO_FRAMES_HPP
