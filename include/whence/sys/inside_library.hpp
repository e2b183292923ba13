// SPDX-License-Identifier: Apache-2.0
//
// How deep the calling thread is inside this library: in a lock's hold, in the slow path of an
// allocation, or for good, as a thread of the library's own. What it allocates there is forwarded
// and not recorded, or the recording of one block would wait for itself, and a profile would show
// the profiler. Each module has its own count, since each has its own locks.
//
// Not for signal handlers, except to read. Cost: one instruction each way.
#ifndef WHENCE_SYS_INSIDE_LIBRARY_HPP
#define WHENCE_SYS_INSIDE_LIBRARY_HPP

#include <whence/sys/thread_local.hpp>

namespace whence::inline v1::sys {

WHENCE_THREAD_LOCAL int inside_library{0};

class [[gnu::visibility("hidden")]] inside_scope {
 public:
  inside_scope() noexcept {
    ++inside_library;
  }
  ~inside_scope() {
    --inside_library;
  }
  inside_scope(const inside_scope&) = delete;
  inside_scope& operator=(const inside_scope&) = delete;
};

}  // namespace whence::inline v1::sys

#endif  // WHENCE_SYS_INSIDE_LIBRARY_HPP
