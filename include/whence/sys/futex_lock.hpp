// SPDX-License-Identifier: Apache-2.0
//
// A lock of four bytes that sleeps in the kernel when it must: U. Drepper, "Futexes Are Tricky"
// (2011), mutex 2. States: 0 free, 1 held, 2 held and somebody may sleep.
//
// Not std::mutex, because these locks are taken around a handful of instructions, must work in a
// constant-initialized root, and must be put right in a forked child. Not for signal handlers.
#ifndef WHENCE_SYS_FUTEX_LOCK_HPP
#define WHENCE_SYS_FUTEX_LOCK_HPP

#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <cstdint>

#include <whence/sys/errno_guard.hpp>

namespace whence::inline v1::sys {

class futex_lock {
 public:
  void lock() noexcept {
    std::uint32_t free = 0;
    if (!state_.compare_exchange_strong(free, 1, std::memory_order_acquire,
                                        std::memory_order_relaxed)) {
      lock_contended();
    }
  }

  void unlock() noexcept {
    if (state_.exchange(0, std::memory_order_release) == 2) wake_one();
  }

 private:
  // Critical sections are shorter than a switch of threads: look a while before sleeping.
  static constexpr int spins = 100;

  [[gnu::noinline, gnu::cold]] void lock_contended() noexcept {
    const errno_guard keep;
    for (int i = 0; i < spins; ++i) {
      std::uint32_t free = 0;
      if (state_.load(std::memory_order_relaxed) == 0 &&
          state_.compare_exchange_weak(free, 1, std::memory_order_acquire,
                                       std::memory_order_relaxed)) {
        return;
      }
    }
    while (state_.exchange(2, std::memory_order_acquire) != 0) {
      ::syscall(SYS_futex, &state_, FUTEX_WAIT_PRIVATE, 2, nullptr, nullptr, 0);
    }
  }

  [[gnu::noinline, gnu::cold]] void wake_one() noexcept {
    const errno_guard keep;
    ::syscall(SYS_futex, &state_, FUTEX_WAKE_PRIVATE, 1, nullptr, nullptr, 0);
  }

  std::atomic<std::uint32_t> state_{0};
};

// std::lock_guard without <mutex>, whose lines every recording header would pay for.
class scoped_lock {
 public:
  explicit scoped_lock(futex_lock& l) noexcept : lock_(l) { lock_.lock(); }
  ~scoped_lock() { lock_.unlock(); }
  scoped_lock(const scoped_lock&) = delete;
  scoped_lock& operator=(const scoped_lock&) = delete;

 private:
  futex_lock& lock_;
};

}  // namespace whence::inline v1::sys

#endif  // WHENCE_SYS_FUTEX_LOCK_HPP
