// SPDX-License-Identifier: Apache-2.0
//
// Walks the stack with the unwinder that throws exceptions. With glibc >= 2.35 and GCC >= 12 it
// finds call-frame information without a lock (_dl_find_object).
#ifndef WHENCE_UNWIND_LIBGCC_WALK_HPP
#define WHENCE_UNWIND_LIBGCC_WALK_HPP

#include <unwind.h>

#include <cstdint>

#include <whence/sys/errno_guard.hpp>
#include <whence/unwind/trace.hpp>

namespace whence::inline v1::unwind {

struct libgcc_walk {
  static void walk(trace_builder& builder) noexcept {
    const sys::errno_guard keep;
    _Unwind_Backtrace(&step, &builder);
  }

 private:
  static _Unwind_Reason_Code step(_Unwind_Context* context, void* argument) noexcept {
    const auto pc = static_cast<std::uintptr_t>(_Unwind_GetIP(context));
    if (pc == 0) return _URC_NO_REASON;  // the outermost frame has no caller
    return static_cast<trace_builder*>(argument)->push(pc) ? _URC_NO_REASON : _URC_END_OF_STACK;
  }
};

}  // namespace whence::inline v1::unwind

#endif  // WHENCE_UNWIND_LIBGCC_WALK_HPP
