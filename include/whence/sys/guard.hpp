// SPDX-License-Identifier: Apache-2.0
//
// Holds a lock while it lives: std::lock_guard without <mutex>.
#ifndef WHENCE_SYS_GUARD_HPP
#define WHENCE_SYS_GUARD_HPP

namespace whence::inline v1::sys {

template <class Lock>
class [[nodiscard]] guard {
 public:
  [[nodiscard, gnu::always_inline]] explicit guard(Lock& lock) noexcept : lock_(lock) {
    lock_.lock();
  }
  [[gnu::always_inline]] ~guard() { lock_.unlock(); }
  guard(const guard&) = delete;
  guard& operator=(const guard&) = delete;

 private:
  Lock& lock_;
};

}  // namespace whence::inline v1::sys

#endif  // WHENCE_SYS_GUARD_HPP
