// SPDX-License-Identifier: Apache-2.0
//
// A captured stack: return addresses, leaf first, in memory the caller owns (its own stack).
#ifndef WHENCE_UNWIND_TRACE_HPP
#define WHENCE_UNWIND_TRACE_HPP

#include <cstddef>
#include <cstdint>

namespace whence::inline v1::unwind {

inline constexpr std::size_t max_depth = 1024;

struct trace {
  std::uintptr_t* pcs;
  std::size_t capacity;
  std::size_t depth = 0;
  bool truncated = false;  // the stack goes on towards its root
};

// How the frames between a recording function of ours and the user's call are left out: the trace
// begins at the frame whose return address is `caller`, then drops `skip` more. It holds however
// the compiler inlines or tail-calls our functions, because only one of them, never inlined, asks
// for its own return address.
class trace_builder {
 public:
  trace_builder(trace& t, const void* caller, std::size_t skip) noexcept
      : trace_(t), caller_(reinterpret_cast<std::uintptr_t>(caller)), skip_(skip) {}

  // False: enough. The builder has taken the frame or does not want it.
  bool push(std::uintptr_t pc) noexcept {
    if (!begun_ && pc == caller_) {
      begun_ = true;
      trace_.depth = 0;  // what came before were our own frames
    }
    if (begun_ && skip_ > 0) {
      --skip_;
      return true;
    }
    if (trace_.depth == trace_.capacity) {
      trace_.truncated = true;
      return !begun_;
    }
    trace_.pcs[trace_.depth++] = pc;
    return true;
  }

  void finish() noexcept {
    if (begun_ && skip_ > 0) trace_.depth = 0;
  }

 private:
  trace& trace_;
  std::uintptr_t caller_;
  std::size_t skip_;
  bool begun_ = false;
};

}  // namespace whence::inline v1::unwind

#endif  // WHENCE_UNWIND_TRACE_HPP
