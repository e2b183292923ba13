// SPDX-License-Identifier: Apache-2.0
//
// Frames that stand for something other than code. Their addresses are below the lowest one Linux
// maps (vm.mmap_min_addr), so they are never taken for code and code is never taken for them.
#ifndef WHENCE_TABLES_PSEUDO_FRAME_HPP
#define WHENCE_TABLES_PSEUDO_FRAME_HPP

#include <cstdint>

namespace whence::inline v1::tables::pseudo {

inline constexpr std::uintptr_t overflow = 1;   // events beyond the memory limit
inline constexpr std::uintptr_t truncated = 2;  // the root end of a stack deeper than the limit
inline constexpr std::uintptr_t unknown = 3;    // a stack without a frame
inline constexpr std::uintptr_t unsampled = 4;  // time of the program that no sample explains
inline constexpr std::uintptr_t profiler = 5;   // what the profiler's own threads took
inline constexpr std::uintptr_t created = 6;    // between a coroutine and the stack that made it
inline constexpr std::uintptr_t end = 7;        // no pseudo-frame from here on

inline constexpr const char* names[end] = {
    "", "[overflow]", "[truncated]", "[unknown]", "[unsampled]", "[profiler]", "[created by]"};

}  // namespace whence::inline v1::tables::pseudo

namespace whence::inline v1::tables {

// No code is mapped in the first page.
inline constexpr std::uintptr_t first_code_address = 0x1000;
static_assert(pseudo::end <= first_code_address);

constexpr bool is_pseudo(std::uintptr_t address) noexcept {
  return address < first_code_address;
}

// Addresses of the first page that are in no list mean that the walk went wrong.
constexpr std::uintptr_t pseudo_frame_of(std::uintptr_t address) noexcept {
  return address != 0 && address < pseudo::end ? address : pseudo::unknown;
}

constexpr const char* pseudo_name(std::uintptr_t address) noexcept {
  return pseudo::names[pseudo_frame_of(address)];
}

}  // namespace whence::inline v1::tables

#endif  // WHENCE_TABLES_PSEUDO_FRAME_HPP
