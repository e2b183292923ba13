// SPDX-License-Identifier: Apache-2.0
//
// The stack of a coroutine that is suspended, which is on no thread's stack:
//
//   where it is suspended
//   where the coroutine that awaits it is, and the one that awaits that ...
//   [created by]
//   the stack that made the last of them
//
// The stack of a coroutine that awaits a running one begins at itself.
#ifndef WHENCE_TABLES_LOGICAL_STACK_HPP
#define WHENCE_TABLES_LOGICAL_STACK_HPP

#include <cstddef>
#include <cstdint>

#include <whence/tables/bucket.hpp>
#include <whence/tables/coroutine_records.hpp>
#include <whence/tables/pseudo_frame.hpp>
#include <whence/unwind/trace.hpp>

namespace whence::inline v1::tables {

// Appends the stack of `c` to `t`. Thread-safe; if `c` goes on afterwards, that was its stack
// before.
inline void append_stack(suspended_coroutine c, unwind::trace& t) noexcept {
  const auto push = [&t](std::uintptr_t pc) {
    t.truncated = t.truncated || t.depth == t.capacity;
    if (!t.truncated) t.pcs[t.depth++] = pc;
  };
  // A coroutine that was not started yet is where it was made.
  const bool started = c.place.how != instruments::suspended::at_start;
  const coroutine_ref first = c.self;
  while (started && !t.truncated) {
    push(c.place.pc);
    suspended_coroutine next;
    // Each coroutine of a circle is shown once.
    if (!read_awaiter(c, next) || next.self == first) break;
    c = next;
  }
  if (c.created == nullptr) return;
  if (started) push(pseudo::created);
  for (std::size_t i = 0; i < c.created->depth(); ++i) push(c.created->pcs()[i]);
  t.truncated = t.truncated || c.created->truncated();
}

}  // namespace whence::inline v1::tables

#endif  // WHENCE_TABLES_LOGICAL_STACK_HPP
