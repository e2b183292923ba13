// SPDX-License-Identifier: Apache-2.0
//
// A mutex of one word over the kernel's futex (U. Drepper, "Futexes Are Tricky", 2011, mutex 2):
//
//   0: free     1: locked     2: locked, and a thread may sleep
//
// Taking it when it is free and releasing it when no thread sleeps are one inlined atomic
// instruction each. Like glibc's, it is not fair: a thread that arrives may take it before one that
// is still waking up. A thread spins for a moment before it sleeps. Not recursive; a holder that
// ends leaves it locked.
#ifndef WHENCE_SYS_FUTEX_MUTEX_HPP
#define WHENCE_SYS_FUTEX_MUTEX_HPP

#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstdint>

#include <whence/sys/atomic_word.hpp>
#include <whence/sys/errno_guard.hpp>
#include <whence/sys/relax.hpp>

namespace whence::inline v1::sys {

class futex_mutex {
 public:
  constexpr futex_mutex() noexcept = default;
  futex_mutex(const futex_mutex&) = delete;
  futex_mutex& operator=(const futex_mutex&) = delete;

  [[nodiscard]] bool try_lock() noexcept {
    std::uint32_t expected = free;
    return word_.compare_exchange_strong(expected, locked, acquire);
  }

  void lock() noexcept {
    if (!try_lock() && !try_lock_for_a_moment()) [[unlikely]]
      sleep();
  }

  // Tries again and again for less than a microsecond.
  [[nodiscard]] bool try_lock_for_a_moment() noexcept {
    for (int i = 0; i < looks; ++i) {
      relax();
      if (word_.load(relaxed) == free && try_lock()) return true;
    }
    return false;
  }

  // Takes it; sleeps until it is free.
  [[gnu::noinline, gnu::cold]] void sleep() noexcept {
    const errno_guard keep;
    // It is locked as contended, because others may sleep; its unlock then wakes one, needed or
    // not.
    while (word_.exchange(contended, acquire) != free) {
      ::syscall(SYS_futex, &word_, FUTEX_WAIT_PRIVATE, contended, nullptr, nullptr, 0);
    }
  }

  // Releases it if no thread sleeps and it was not marked.
  [[nodiscard]] bool try_unlock() noexcept {
    std::uint32_t expected = locked;
    return word_.compare_exchange_strong(expected, free, release);
  }

  // Makes try_unlock fail. Requires: the caller holds it.
  void mark() noexcept { word_.store(contended, relaxed); }

  void unlock() noexcept {
    if (word_.exchange(free, release) == contended) [[unlikely]]
      wake();
  }

 private:
  static constexpr std::uint32_t free = 0, locked = 1, contended = 2;
  static constexpr int looks = 40;

  // The mutex may be destroyed already: then no thread sleeps on the address, or one is woken
  // without need.
  [[gnu::noinline, gnu::cold]] void wake() noexcept {
    const errno_guard keep;
    ::syscall(SYS_futex, &word_, FUTEX_WAKE_PRIVATE, 1, nullptr, nullptr, 0);
  }

  atomic_word<std::uint32_t> word_{free};
};

}  // namespace whence::inline v1::sys

#endif  // WHENCE_SYS_FUTEX_MUTEX_HPP
