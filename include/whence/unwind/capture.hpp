// SPDX-License-Identifier: Apache-2.0
//
// One function takes the calling thread's stack, one the stack that a signal interrupted. Both walk
// by call-frame information, so the program needs no frame pointers; some nanoseconds a frame.
//
// The frames between a recording function of this library and the user's call are left out: the
// trace begins at the frame whose return address is `caller`, then drops `skip` more. This holds
// however the compiler inlines or tail-calls those functions, because only one of them, never
// inlined, asks for its own return address.
//
// Signal-safe. Lock-free. Never allocates from the heap. Keeps errno. Stack: 2 KiB, and 1 KiB more
// for the few walks that use the DWARF itself.
#ifndef WHENCE_UNWIND_CAPTURE_HPP
#define WHENCE_UNWIND_CAPTURE_HPP

#include <ucontext.h>

#include <cstddef>
#include <cstdint>

#include <whence/unwind/arch.hpp>
#include <whence/unwind/modules/module_memory.hpp>
#include <whence/unwind/stop_reason.hpp>
#include <whence/unwind/trace.hpp>
#include <whence/unwind/unwinder.hpp>
#include <whence/unwind/walk/dwarf_walk.hpp>
#include <whence/unwind/walk/previous_stack_walk.hpp>
#include <whence/unwind/walk/rule_walk.hpp>

namespace whence::inline v1::unwind {

// How many frames of this library may lie above the instrument that asked for its return address.
inline constexpr int most_own_frames = 16;

// Fills the trace from the frame in hand. Requires: capacity > 0.
template <class Walk>
[[gnu::always_inline]] inline stop_reason fill(Walk& w, trace& t) noexcept {
  std::uintptr_t* const pcs = t.pcs;
  const std::size_t capacity = t.capacity;
  std::size_t depth = 0;
  const bool goes_on = w.climb_while([&](std::uintptr_t ra) {
    if (depth == capacity) return false;
    pcs[depth++] = ra;
    return true;
  });
  t.depth = depth;
  t.truncated = goes_on;
  t.is_guessed = w.guessed();
  t.has_plugins = w.met_plugin();
  return goes_on ? stop_reason::enough : w.end();
}

template <class Walk>
[[gnu::always_inline]] inline stop_reason fill_from(Walk& w, trace& t, std::uintptr_t caller,
                                                    std::size_t skip) noexcept {
  int own = 0;
  if (!w.start()) return w.end();
  const bool found =
      w.climb_while([&](std::uintptr_t ra) { return ra != caller && own++ < most_own_frames; });
  if (own > most_own_frames || (!found && !w.needs_exact())) {
    // No frame returns to `caller`: a trace with our frames is better than an empty one.
    skip = 0;
    if (!w.restart()) return w.end();
  } else if (!found) {
    return w.end();
  }
  if (skip > 0 && !w.climb_while([&](std::uintptr_t) { return skip-- > 0; })) return w.end();
  return fill(w, t);
}

[[gnu::noinline, gnu::cold]] inline stop_reason capture_exactly(unwinder& u, trace& t,
                                                                std::uintptr_t caller,
                                                                std::size_t skip) noexcept {
  all_registers leaf;
  here(leaf);
  dwarf_walk<trusted_memory> w(u, leaf);
  return fill_from(w, t, caller, skip);
}

// Requires: `m` was entered; leaves it.
[[gnu::noinline]] inline stop_reason capture_by_previous_stack(rule_walk<trusted_memory>& by_rules,
                                                               previous_stack& m, trace& t,
                                                               std::uintptr_t caller,
                                                               std::size_t skip) noexcept {
  previous_stack_walk w(by_rules, m);
  const stop_reason end = fill_from(w, t, caller, skip);
  if (w.had_stack()) m.was_useful(w.useful());
  m.leave();
  return end;
}

// Fills `t` with the stack of the calling thread, from the frame that returns to `caller`, less
// `skip` frames. Requires: `caller` is __builtin_return_address(0) of a function that is still
// active and never inlined; `t` is empty, its capacity not 0.
[[gnu::always_inline]] inline stop_reason capture(unwinder& u, trace& t, const void* caller,
                                                  std::size_t skip = 0) noexcept {
  const auto from = plain_code_address(reinterpret_cast<std::uintptr_t>(caller));
  registers r;
  const pc at = here(r);
  rule_walk<trusted_memory> w(u, r, at);
  previous_stack& m = u.stacks().of_this_thread();
  stop_reason end;
  if (w.own_stack_end() != 0 && m.enter()) {
    end = capture_by_previous_stack(w, m, t, from, skip);
  } else {
    end = fill_from(w, t, from, skip);
    if (t.depth >= least_previous_depth) m.saw_deep_stack();
  }
  if (w.needs_exact()) [[unlikely]]
    end = capture_exactly(u, t, from, skip);
  u.counts().ended(end);
  return end;
}

// It is a function apart, so that its registers take no room on the stack of walks that do not need
// it.
[[gnu::noinline, gnu::cold]] inline stop_reason capture_context_exactly(
    unwinder& u, trace& t, const ucontext_t& c) noexcept {
  all_registers leaf;
  interrupted(c, leaf);
  dwarf_walk<copied_memory> w(u, leaf);
  return w.start() ? fill(w, t) : w.end();
}

// Fills `t` with the stack that a signal interrupted, from the interrupted instruction on. `c` is
// what the handler was given. Requires: `t` is empty, its capacity not 0.
inline stop_reason capture_context(unwinder& u, trace& t, const ucontext_t& c) noexcept {
  t.leaf_is_ip = true;
  const registers r = interrupted(c);
  rule_walk<copied_memory> w(u, r, pc::instruction(r.pc));
  stop_reason end = w.start() ? fill(w, t) : w.end();
  if (w.needs_exact()) [[unlikely]]
    end = capture_context_exactly(u, t, c);
  u.counts().ended(end);
  return end;
}

}  // namespace whence::inline v1::unwind

#endif  // WHENCE_UNWIND_CAPTURE_HPP
