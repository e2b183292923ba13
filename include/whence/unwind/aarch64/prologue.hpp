// SPDX-License-Identifier: Apache-2.0
//
// How far below its saved frame pointer a function's stack pointer is at least. On AArch64 the
// frame record is at the lower end of the frame, just above what the function allocates later, so
// there is no bound.
#ifndef WHENCE_UNWIND_AARCH64_PROLOGUE_HPP
#define WHENCE_UNWIND_AARCH64_PROLOGUE_HPP

#include <cstddef>
#include <cstdint>

namespace whence::inline v1::unwind {

inline constexpr std::size_t longest_prologue = 4;

inline std::uintptr_t least_room_below_fp(const unsigned char*) noexcept {
  return 0;
}

}  // namespace whence::inline v1::unwind

#endif  // WHENCE_UNWIND_AARCH64_PROLOGUE_HPP
