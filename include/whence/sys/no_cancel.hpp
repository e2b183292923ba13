// SPDX-License-Identifier: Apache-2.0
//
// While it lives, pthread_cancel waits: for code that must not be unwound, such as a destructor or
// a deallocation, yet calls functions that POSIX makes cancellation points. Keeps errno.
#ifndef WHENCE_SYS_NO_CANCEL_HPP
#define WHENCE_SYS_NO_CANCEL_HPP

#include <pthread.h>

namespace whence::inline v1::sys {

class no_cancel {
 public:
  no_cancel() noexcept { ::pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &before_); }
  ~no_cancel() { ::pthread_setcancelstate(before_, nullptr); }
  no_cancel(const no_cancel&) = delete;
  no_cancel& operator=(const no_cancel&) = delete;

 private:
  int before_ = 0;
};

}  // namespace whence::inline v1::sys

#endif  // WHENCE_SYS_NO_CANCEL_HPP
