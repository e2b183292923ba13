// SPDX-License-Identifier: Apache-2.0
//
// A lock as a condition variable sees it. The time from its release to the moment the variable
// takes it back is one wait. Taking it back may be a wait too, but that is an event of the lock.
// (The stack is taken when the user's lock is free, but while the inner lock of the variable is
// held.)
#ifndef WHENCE_INSTRUMENTS_TIMED_WAIT_LOCK_HPP
#define WHENCE_INSTRUMENTS_TIMED_WAIT_LOCK_HPP

#include <cstdint>

#include <whence/instruments/wait.hpp>
#include <whence/names.hpp>

namespace whence::inline v1::instruments {

template <class Lock>
class timed_wait_lock {
 public:
  timed_wait_lock(Lock& lock, profile& block, std::uint32_t labels, const void* caller) noexcept
      : lock_(lock), block_(block), labels_(labels), caller_(caller) {}
  timed_wait_lock(const timed_wait_lock&) = delete;
  timed_wait_lock& operator=(const timed_wait_lock&) = delete;

  void unlock() {
    lock_.unlock();
    wait_.begin(block_, labels_, caller_);
  }
  void lock() {
    wait_.end();
    lock_.lock();
  }

 private:
  Lock& lock_;
  profile& block_;
  std::uint32_t labels_;
  const void* caller_;
  wait wait_;
};

}  // namespace whence::inline v1::instruments

#endif  // WHENCE_INSTRUMENTS_TIMED_WAIT_LOCK_HPP
