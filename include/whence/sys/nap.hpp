// SPDX-License-Identifier: Apache-2.0
//
// A short sleep, for a caller that waits for a thread which may have lost its processor. Keeps
// errno.
#ifndef WHENCE_SYS_NAP_HPP
#define WHENCE_SYS_NAP_HPP

#include <time.h>

#include <whence/sys/cancel_guard.hpp>
#include <whence/sys/errno_guard.hpp>

namespace whence::inline v1::sys {

inline void nap() noexcept {
  const errno_guard keep;
  const cancel_guard uncancelled;
  const timespec length{0, 20'000};
  ::nanosleep(&length, nullptr);
}

}  // namespace whence::inline v1::sys

#endif  // WHENCE_SYS_NAP_HPP
