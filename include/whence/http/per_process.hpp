// SPDX-License-Identifier: Apache-2.0
//
// State that belongs to one process. A child of fork begins with a fresh one: its parent's windows
// do not exist in it, nor do threads that held locks in the parent.
#ifndef WHENCE_HTTP_PER_PROCESS_HPP
#define WHENCE_HTTP_PER_PROCESS_HPP

#include <sys/types.h>
#include <unistd.h>

#include <atomic>
#include <memory>

namespace whence::inline v1::http {

// The T of this process, made at first use and never destroyed. Thread-safe. Throws:
// std::bad_alloc.
template <class T>
T& per_process() {
  struct owned {
    const ::pid_t process = ::getpid();
    T it;
  };
  static constinit std::atomic<owned*> known{nullptr};
  owned* now = known.load(std::memory_order_acquire);
  if (now == nullptr || now->process != ::getpid()) {
    auto fresh = std::make_unique<owned>();
    // The parent's T is never touched. If another thread was first, `now` becomes its T.
    if (known.compare_exchange_strong(now, fresh.get(), std::memory_order_acq_rel)) {
      now = fresh.release();
    }
  }
  return now->it;
}

}  // namespace whence::inline v1::http

#endif  // WHENCE_HTTP_PER_PROCESS_HPP
