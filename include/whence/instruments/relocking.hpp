// SPDX-License-Identifier: Apache-2.0
//
// A lock as a condition variable sees it: from its release to the moment the variable takes it back
// is one wait. Taking it back may be a wait too, but that is the lock's own. (The stack is taken
// when the user's lock is free, but while the variable's inner one is held.)
#ifndef WHENCE_INSTRUMENTS_RELOCKING_HPP
#define WHENCE_INSTRUMENTS_RELOCKING_HPP

#include <cstddef>
#include <cstdint>
#include <new>

#include <whence/instruments/wait.hpp>
#include <whence/profile/profile.hpp>

namespace whence::inline v1::instruments {

template <class Lock>
class relocking {
 public:
  relocking(Lock& lock, profile& block, std::uint32_t labels, const void* caller) noexcept
      : lock_(lock), block_(block), labels_(labels), caller_(caller) {}

  ~relocking() { forget(); }
  relocking(const relocking&) = delete;
  relocking& operator=(const relocking&) = delete;

  void unlock() {
    lock_.unlock();
    forget();
    wait_ = ::new (place_) wait(block_, labels_, caller_);
  }
  void lock() {
    if (wait_ != nullptr) wait_->end();
    forget();
    lock_.lock();
  }

 private:
  void forget() noexcept {
    if (wait_ != nullptr) wait_->~wait();
    wait_ = nullptr;
  }

  Lock& lock_;
  profile& block_;
  std::uint32_t labels_;
  const void* caller_;
  wait* wait_ = nullptr;  // std::optional, without its thousand lines
  alignas(wait) std::byte place_[sizeof(wait)];
};

}  // namespace whence::inline v1::instruments

#endif  // WHENCE_INSTRUMENTS_RELOCKING_HPP
