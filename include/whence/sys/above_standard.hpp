// SPDX-License-Identifier: Apache-2.0
//
// A descriptor of the library's never has the number of stdin, stdout or stderr. A program that was
// started without them, or has closed them, writes to these numbers and reads from them all the
// same: it would write into a profile, or to the server's sockets.
#ifndef WHENCE_SYS_ABOVE_STANDARD_HPP
#define WHENCE_SYS_ABOVE_STANDARD_HPP

#include <fcntl.h>
#include <unistd.h>

#include <whence/sys/errno_guard.hpp>

namespace whence::inline v1::sys {

// The same file at a number above theirs, closed by exec; `number` itself if that is above already,
// is no descriptor, or if the process may open no more files. Keeps errno. Signal-safe.
inline int above_standard(int number) noexcept {
  if (number < 0 || number > STDERR_FILENO) return number;
  const errno_guard keep;
  const int higher = ::fcntl(number, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
  if (higher < 0) return number;
  ::close(number);
  return higher;
}

}  // namespace whence::inline v1::sys

#endif  // WHENCE_SYS_ABOVE_STANDARD_HPP
