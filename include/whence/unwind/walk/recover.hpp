// SPDX-License-Identifier: Apache-2.0
//
// Finds the caller of a frame whose call-frame information leads nowhere: the big-number assembly
// of libc pushes registers without saying so; while an exception is installed, saved registers are
// already those of the handler's frame. One fact remains: somewhere above sp is a return address
// behind a call whose target is exactly the start of the frame's function, or a stub that jumps
// there. The first such word is taken, never one behind an indirect call, which stale words satisfy
// too.
//
// Signal-safe. Never allocates. Time: a rule lookup for each word that is read.
#ifndef WHENCE_UNWIND_WALK_RECOVER_HPP
#define WHENCE_UNWIND_WALK_RECOVER_HPP

#include <cstdint>

#include <whence/unwind/arch.hpp>
#include <whence/unwind/stop_reason.hpp>
#include <whence/unwind/walk/read_above_sp.hpp>
#include <whence/unwind/walk/return_address_check.hpp>

namespace whence::inline v1::unwind {

inline constexpr int recovery_frames = 32;

// `start`: where the frame's function begins; `own`: the frame's rule. rule_of(ra) yields the rule
// behind a return address if call-frame information covers it. Returns false, with r unchanged, if
// no caller was found.
template <class Stack, class RuleOf>
bool recover_caller(registers& r, std::uintptr_t start, rule own, Stack& stack,
                    RuleOf rule_of) noexcept {
  constexpr std::uintptr_t word = sizeof(std::uintptr_t);
  const std::uintptr_t sp = r.sp;
  // True if the caller's fp is the one it had: only with that fp every frame up to the root is
  // code.
  const auto leads_on = [&](registers caller, rule q) {
    for (int i = 0; i < recovery_frames && q.is_frame(); ++i) {
      if (!climb(q, caller, stack)) return false;
      caller.pc = plain_code_address(caller.pc);
      q = rule_of(caller.pc);
    }
    return q || (caller.pc == 0 && stack.end_of_null_return() == stop_reason::root);
  };
  const std::uintptr_t from = stack.first_return(sp, start);
  for (std::uintptr_t at = from; at < sp + Stack::recovery_words * word; at += word) {
    std::uintptr_t ra = 0;
    if (!read_above_sp(sp, at, stack, ra)) return false;
    ra = plain_code_address(ra);
    const rule q = rule_of(ra);
    if (!q || !calls(ra, start)) continue;
    registers caller = caller_of(own, r, at, ra, stack);
    r = caller;
    if constexpr (!Stack::takes_likely) return true;
    // Otherwise it is among what the function pushed.
    for (std::uintptr_t pushed = sp; !leads_on(caller, q) && pushed < at; pushed += word) {
      caller.fp = stack.load(pushed);
      if (leads_on(caller, q)) r = caller;
    }
    return true;
  }
  return false;
}

}  // namespace whence::inline v1::unwind

#endif  // WHENCE_UNWIND_WALK_RECOVER_HPP
