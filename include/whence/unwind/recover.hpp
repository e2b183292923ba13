// SPDX-License-Identifier: Apache-2.0
//
// Finds the caller of an interrupted leaf whose call-frame information is not true: libc's
// big-number assembly pushes registers and does not say so. What is certain nevertheless: somewhere
// above sp is a return address behind a call whose target is exactly the start of the leaf's
// function. The first such word is taken, never one behind an indirect call, which stale words
// satisfy too.
//
// Signal-safe. Never allocates. Time: a rule lookup for each of at most 64 words.
#ifndef WHENCE_UNWIND_RECOVER_HPP
#define WHENCE_UNWIND_RECOVER_HPP

#include <cstdint>

#include <whence/unwind/arch.hpp>
#include <whence/unwind/code_check.hpp>

namespace whence::inline v1::unwind {

inline constexpr int recovery_words = 64;

// `start`: of the leaf's function. rule_of(ra) yields the rule behind a return address where
// call-frame information covers it. False: no caller was found, and r is unchanged.
template <class Stack, class RuleOf>
bool recover_caller(registers& r, std::uintptr_t start, Stack& stack, RuleOf rule_of) noexcept {
  constexpr std::uintptr_t word = sizeof(std::uintptr_t);
  // A caller that is found by its frame pointer needs the one it had: the leaf may have pushed it.
  const auto leads_on = [&](registers caller, rule q) {
    return q.kind() != rule_kind::frame ||
           (climb(q, caller, stack) && (rule_of(caller.pc) || caller.pc == 0));
  };
  std::uintptr_t at = r.sp;
  for (int i = 0; i < recovery_words; ++i, at += word) {
    std::uintptr_t ra = 0;
    if (!load_above(r, at, stack, ra)) return false;
    ra = plain_code_address(ra);
    const rule q = rule_of(ra);
    if (!q || site_before(ra).target != start) continue;
    registers caller{ra, at + word, r.fp};
    if (leads_on(caller, q)) {
      r = caller;
      return true;
    }
    for (std::uintptr_t pushed = r.sp; pushed < at; pushed += word) {
      caller.fp = stack.load(pushed);
      if (leads_on(caller, q)) {
        r = caller;
        return true;
      }
    }
    return false;
  }
  return false;
}

}  // namespace whence::inline v1::unwind

#endif  // WHENCE_UNWIND_RECOVER_HPP
