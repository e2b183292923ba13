// SPDX-License-Identifier: Apache-2.0
//
// State that is the process's own. A child of fork begins with none of it: there are no windows of
// its parent's in it, and whoever held a lock there is not here to release it.
#ifndef WHENCE_HTTP_OF_PROCESS_HPP
#define WHENCE_HTTP_OF_PROCESS_HPP

#include <sys/types.h>
#include <unistd.h>

#include <atomic>
#include <memory>

namespace whence::inline v1::http {

// The T of this process, made at its first use and never destroyed. Thread-safe.
// Throws: std::bad_alloc.
template <class T>
T& of_process() {
  struct owned {
    const ::pid_t process = ::getpid();
    T it;
  };
  static constinit std::atomic<owned*> known{nullptr};
  owned* now = known.load(std::memory_order_acquire);
  if (now == nullptr || now->process != ::getpid()) {
    auto fresh = std::make_unique<owned>();
    // The parent's is left behind as it is. Where another thread was first, `now` is its.
    if (known.compare_exchange_strong(now, fresh.get(), std::memory_order_acq_rel)) {
      now = fresh.release();
    }
  }
  return now->it;
}

}  // namespace whence::inline v1::http

#endif  // WHENCE_HTTP_OF_PROCESS_HPP
