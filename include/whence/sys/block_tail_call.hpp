// SPDX-License-Identifier: Apache-2.0
//
// Called after another call, this keeps the other from being a tail call, so the calling function
// stays visible in the stack. Signal-safe. Cost: the tail call that is lost.
#ifndef WHENCE_SYS_BLOCK_TAIL_CALL_HPP
#define WHENCE_SYS_BLOCK_TAIL_CALL_HPP

namespace whence::inline v1::sys {

[[gnu::always_inline]] inline void block_tail_call() noexcept {
  asm volatile("");
}

}  // namespace whence::inline v1::sys

#endif  // WHENCE_SYS_BLOCK_TAIL_CALL_HPP
