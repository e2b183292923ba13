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

#endif  // WHENCE_TABLES_PSEUDO_FRAME_HPP
