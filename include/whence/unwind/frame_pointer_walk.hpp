// SPDX-License-Identifier: Apache-2.0
//
// Walks the chain of frame pointers. Both ABIs lay a frame out alike:
//
//   fp -> | caller's fp | return address | ...        towards higher addresses
//
// The chain is believed only while it climbs, aligned, below the upper end of the thread's stack:
// __libc_stack_end for the main thread, the thread control block for every other, which glibc puts
// above the stack it allocates. Neither needs a system call. A stack that a program switched to by
// itself (makecontext, fibres) has no such end: a program that does so must not choose this walk.
#ifndef WHENCE_UNWIND_FRAME_POINTER_WALK_HPP
#define WHENCE_UNWIND_FRAME_POINTER_WALK_HPP

#include <cstddef>
#include <cstdint>

#include <whence/unwind/trace.hpp>

extern "C" void* __libc_stack_end;  // NOLINT(bugprone-reserved-identifier): glibc's own

namespace whence::inline v1::unwind {

struct frame_pointer_walk {
  [[gnu::always_inline]] static void walk(trace_builder& builder) noexcept {
    const auto first = reinterpret_cast<std::uintptr_t>(__builtin_frame_address(0));
    follow(builder, first, upper_end(first));
  }

 private:
  static constexpr std::uintptr_t alignment = sizeof(std::uintptr_t);
  static constexpr std::uintptr_t largest_frame = std::uintptr_t{1} << 20;

  [[gnu::no_sanitize_address]] static void follow(trace_builder& builder, std::uintptr_t fp,
                                                  std::uintptr_t end) noexcept {
    if (fp >= end) return;
    // One comparison for both ends: a step down wraps to a huge one.
    for (std::uintptr_t room = end - fp; room >= 2 * sizeof fp;) {
      const auto* const frame = reinterpret_cast<const std::uintptr_t*>(fp);
      const std::uintptr_t next = frame[0];
      const std::uintptr_t pc = frame[1];
      if (pc == 0 || !builder.push(pc)) return;
      const std::uintptr_t step = next - fp;
      if (step == 0 || step > largest_frame || step > room || step % alignment != 0) return;
      room -= step;
      fp = next;
    }
  }

  static std::uintptr_t upper_end(std::uintptr_t sp) noexcept {
    const std::uintptr_t tcb = thread_control_block();
    return sp < tcb ? tcb : reinterpret_cast<std::uintptr_t>(__libc_stack_end);
  }

  static std::uintptr_t thread_control_block() noexcept {
    std::uintptr_t tcb = 0;
#if defined(__x86_64__)
    asm("movq %%fs:0, %0" : "=r"(tcb));
#elif defined(__aarch64__)
    asm("mrs %0, tpidr_el0" : "=r"(tcb));
#endif
    return tcb;
  }
};

}  // namespace whence::inline v1::unwind

#endif  // WHENCE_UNWIND_FRAME_POINTER_WALK_HPP
