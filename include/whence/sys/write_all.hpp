// SPDX-License-Identifier: Apache-2.0
//
// Calls write(2) up to the last byte: short writes are continued, interrupted ones repeated, and it
// waits if a non-blocking descriptor is full. Never allocates, never throws.
#ifndef WHENCE_SYS_WRITE_ALL_HPP
#define WHENCE_SYS_WRITE_ALL_HPP

#include <poll.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <span>

namespace whence::inline v1::sys {

// Returns 0, or the errno of the write that failed. It is a cancellation point, hence not noexcept.
inline int write_all(int fd, std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const ssize_t n = ::write(fd, bytes.data(), bytes.size());
    if (n > 0) {
      bytes = bytes.subspan(static_cast<std::size_t>(n));
    } else if (n == 0) {
      return EIO;
    } else if (errno == EAGAIN) {
      pollfd wait{fd, POLLOUT, 0};
      if (::poll(&wait, 1, -1) < 0 && errno != EINTR) return errno;
    } else if (errno != EINTR) {
      return errno;
    }
  }
  return 0;
}

}  // namespace whence::inline v1::sys

#endif  // WHENCE_SYS_WRITE_ALL_HPP
