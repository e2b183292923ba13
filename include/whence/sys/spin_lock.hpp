// SPDX-License-Identifier: Apache-2.0
//
// A lock for a handful of instructions: taking it is one atomic exchange, releasing it one store. A
// thread that finds it held spins for a while, then sleeps a little between attempts, so that a
// holder that lost its processor gets one back, even if its priority is lower.
//
// Not std::mutex, because these locks live in a constant-initialized root, must be reset in a
// forked child, and would cost every recording header the lines of <mutex>. A thread that holds one
// is inside the library (inside_library.hpp): what it allocates is not recorded, which would need
// such locks, too. Keeps errno. Not for signal handlers.
#ifndef WHENCE_SYS_SPIN_LOCK_HPP
#define WHENCE_SYS_SPIN_LOCK_HPP

#include <atomic>

#include <whence/sys/inside_library.hpp>
#include <whence/sys/nap.hpp>

namespace whence::inline v1::sys {

class spin_lock {
 public:
  // Inlined, as is unlock, because both count in the same module.
  [[gnu::always_inline]] void lock() noexcept {
    ++inside_library;
    if (held_.exchange(true, std::memory_order_acquire)) lock_contended();
  }
  // Requires: called by the thread that locked it, or by its child.
  [[gnu::always_inline]] void unlock() noexcept {
    held_.store(false, std::memory_order_release);
    --inside_library;
  }

 private:
  static constexpr int looks = 200;

  [[gnu::noinline, gnu::cold]] void lock_contended() noexcept {
    do {
      for (int i = 0; held_.load(std::memory_order_relaxed); ++i) {
        if (i < looks) continue;
        nap();
      }
    } while (held_.exchange(true, std::memory_order_acquire));
  }

  std::atomic<bool> held_{false};
};

}  // namespace whence::inline v1::sys

#endif  // WHENCE_SYS_SPIN_LOCK_HPP
