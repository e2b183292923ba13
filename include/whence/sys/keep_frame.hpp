// SPDX-License-Identifier: Apache-2.0
//
// Called after another call, keeps that from being a tail call: the calling function stays visible
// in the stack. Signal-safe. Cost: none but the tail call.
#ifndef WHENCE_SYS_KEEP_FRAME_HPP
#define WHENCE_SYS_KEEP_FRAME_HPP

namespace whence::inline v1::sys {

[[gnu::always_inline]] inline void keep_frame() noexcept {
  asm volatile("");
}

}  // namespace whence::inline v1::sys

#endif  // WHENCE_SYS_KEEP_FRAME_HPP
