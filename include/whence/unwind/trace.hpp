// SPDX-License-Identifier: Apache-2.0
//
// A captured stack, leaf first, in memory the caller owns (its own stack).
#ifndef WHENCE_UNWIND_TRACE_HPP
#define WHENCE_UNWIND_TRACE_HPP

#include <cstddef>
#include <cstdint>

namespace whence::inline v1::unwind {

inline constexpr std::size_t max_depth = 1024;

struct trace {
  std::uintptr_t* pcs;  // return addresses; pcs[0] may be an instruction
  std::size_t capacity;
  std::size_t depth = 0;
  bool truncated = false;    // the stack goes on towards its root
  bool leaf_is_ip = false;   // pcs[0] is an interrupted instruction
  bool is_guessed = false;   // some addresses were not found by call-frame information alone
  bool has_plugins = false;  // some addresses are in modules that may be unloaded
};

}  // namespace whence::inline v1::unwind

#endif  // WHENCE_UNWIND_TRACE_HPP
