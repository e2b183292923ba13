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
    if (taking_) [[likely]] {
      if (trace_.depth < trace_.capacity) {
        trace_.pcs[trace_.depth++] = pc;
        return true;
      }
      trace_.truncated = true;
      return false;
    }
    return push_before(pc);
  }

  void finish() noexcept {
    if (begun_ && !taking_) trace_.depth = 0;
  }

 private:
  // Frames of our own, kept for the case that `caller` never comes, and those to be skipped.
  bool push_before(std::uintptr_t pc) noexcept {
    if (!begun_ && pc == caller_) {
      begun_ = true;
      trace_.depth = 0;
    }
    if (!begun_) {
      if (trace_.depth < trace_.capacity) trace_.pcs[trace_.depth++] = pc;
      return true;
    }
    if (skip_ > 0) {
      --skip_;
      return true;
    }
    taking_ = true;
    return push(pc);
  }

  trace& trace_;
  std::uintptr_t caller_;
  std::size_t skip_;
  bool begun_ = false;
  bool taking_ = false;
};

}  // namespace whence::inline v1::unwind

#endif  // WHENCE_UNWIND_TRACE_HPP
