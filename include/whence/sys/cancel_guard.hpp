// SPDX-License-Identifier: Apache-2.0
//
// While it lives, pthread_cancel waits: for code that must not be unwound, such as a destructor or
// a deallocation, yet calls functions that POSIX makes cancellation points. Keeps errno.
#ifndef WHENCE_SYS_CANCEL_GUARD_HPP
#define WHENCE_SYS_CANCEL_GUARD_HPP

#include <pthread.h>

namespace whence::inline v1::sys {

class cancel_guard {
 public:
  cancel_guard() noexcept { ::pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &before_); }
  ~cancel_guard() { ::pthread_setcancelstate(before_, nullptr); }
  cancel_guard(const cancel_guard&) = delete;
  cancel_guard& operator=(const cancel_guard&) = delete;

 private:
  int before_ = 0;
};

}  // namespace whence::inline v1::sys

#endif  // WHENCE_SYS_CANCEL_GUARD_HPP
