// SPDX-License-Identifier: Apache-2.0
//
// Tells whether a handler may go on: a signal's frame alone takes 3 to 12 KiB of the stack it
// interrupts (AVX-512, AMX), and the rest of a small one may be less than a walk needs. The kernel
// tells the size of an alternate stack; below every other stack but the main thread's lies a page
// that cannot be read. Signal-safe. Some 0.1 us.
#ifndef WHENCE_SYS_STACK_HEADROOM_HPP
#define WHENCE_SYS_STACK_HEADROOM_HPP

#include <signal.h>

#include <cstdint>

#include <whence/sys/main_stack_end.hpp>
#include <whence/sys/safe_read.hpp>

namespace whence::inline v1::sys {

// False if the caller's frame is on an alternate stack that has too little left for a handler and
// its walk. `alternate`: ucontext_t::uc_stack.
[[gnu::always_inline]] inline bool has_alternate_room(const stack_t& alternate) noexcept {
  constexpr std::uintptr_t least = page_bytes + 1024;
  const auto here = reinterpret_cast<std::uintptr_t>(__builtin_frame_address(0));
  const std::uintptr_t above = here - reinterpret_cast<std::uintptr_t>(alternate.ss_sp);
  return (alternate.ss_flags & SS_DISABLE) != 0 || above >= alternate.ss_size || above >= least;
}

// True if a page lies below the caller's frame, or the kernel adds it when it is needed, as on the
// first stack: `is_main` tells that the stack may be that one. (It may be a fibre's, too.)
// `alternate`: ucontext_t::uc_stack.
[[gnu::always_inline]] inline bool has_stack_headroom(bool is_main,
                                                      const stack_t& alternate) noexcept {
  constexpr std::uintptr_t usual_bytes = std::uintptr_t{8} << 20;
  const auto here = reinterpret_cast<std::uintptr_t>(__builtin_frame_address(0));
  const std::uintptr_t above = here - reinterpret_cast<std::uintptr_t>(alternate.ss_sp);
  if ((alternate.ss_flags & SS_DISABLE) == 0 && above < alternate.ss_size) {
    return above >= page_bytes;
  }
  if (is_main && reinterpret_cast<std::uintptr_t>(__libc_stack_end) - here < usual_bytes) {
    return true;
  }
  return is_readable(here - page_bytes);
}

}  // namespace whence::inline v1::sys

#endif  // WHENCE_SYS_STACK_HEADROOM_HPP
