// SPDX-License-Identifier: Apache-2.0
//
// One function takes a stack. Two ways to walk it, chosen for the whole program in config.hpp:
//
//   by call-frame information   libgcc's _Unwind_Backtrace: complete through code built without
//                               frame pointers, libc included; about 0.1 us a frame.
//   by frame pointers           a load a frame; the program must be built with
//                               -fno-omit-frame-pointer, and the walk ends at the first code that
//                               was not.
//
// Thread-safe. Never allocates. Neither is for signal handlers.
#ifndef WHENCE_UNWIND_CAPTURE_HPP
#define WHENCE_UNWIND_CAPTURE_HPP

#include <cstddef>

#include <whence/config.hpp>
#include <whence/unwind/frame_pointer_walk.hpp>
#include <whence/unwind/libgcc_walk.hpp>
#include <whence/unwind/trace.hpp>

namespace whence::inline v1::unwind {

template <bool FramePointers>
struct select_walk {
  using type = libgcc_walk;
};
template <>
struct select_walk<true> {
  using type = frame_pointer_walk;
};
using native_walk = select_walk<config::frame_pointers>::type;

// Fills `t` with the stack of the calling thread, from the frame that returns to `caller`, less
// `skip` frames. Requires: `caller` is __builtin_return_address(0) of a function that is still
// active and never inlined; `t` is empty.
template <class Walk = native_walk>
[[gnu::always_inline]] inline void capture(trace& t, const void* caller,
                                           std::size_t skip = 0) noexcept {
  trace_builder builder(t, caller, skip);
  Walk::walk(builder);
  builder.finish();
}

}  // namespace whence::inline v1::unwind

#endif  // WHENCE_UNWIND_CAPTURE_HPP
