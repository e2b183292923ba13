// SPDX-License-Identifier: Apache-2.0
//
// Puts errno back as it was: what runs inside an allocation, a lock or a signal handler must not
// change what the program reads after its own call. Signal-safe.
#ifndef WHENCE_SYS_ERRNO_GUARD_HPP
#define WHENCE_SYS_ERRNO_GUARD_HPP

#include <cerrno>

namespace whence::inline v1::sys {

class errno_guard {
 public:
  errno_guard() noexcept : saved_(errno) {}
  ~errno_guard() { errno = saved_; }
  errno_guard(const errno_guard&) = delete;
  errno_guard& operator=(const errno_guard&) = delete;

 private:
  int saved_;
};

}  // namespace whence::inline v1::sys

#endif  // WHENCE_SYS_ERRNO_GUARD_HPP
