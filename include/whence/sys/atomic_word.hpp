// SPDX-License-Identifier: Apache-2.0
//
// An atomic word: what recording pages need of std::atomic<T>, made of the compiler's builtins.
// <atomic> itself is 24 000 lines in C++20, half of what <mutex>, <memory> and <thread> cost
// together, and a recording page is in every file of a program.
//
// T: an integer, bool, enumeration or pointer of at most 8 bytes. An order is one of those below,
// or a std::memory_order if <atomic> is included anyway: both have the builtins' numbers.
// Signal-safe. Lock-free.
#ifndef WHENCE_SYS_ATOMIC_WORD_HPP
#define WHENCE_SYS_ATOMIC_WORD_HPP

namespace whence::inline v1::sys {

enum order : int {
  relaxed = __ATOMIC_RELAXED,
  acquire = __ATOMIC_ACQUIRE,
  release = __ATOMIC_RELEASE,
  acq_rel = __ATOMIC_ACQ_REL,
  seq_cst = __ATOMIC_SEQ_CST
};

// Keeps the compiler, not the processor, from moving or merging accesses across it.
[[gnu::always_inline]] inline void compiler_fence() noexcept {
  __atomic_signal_fence(__ATOMIC_SEQ_CST);
}

template <class T>
class atomic_word {
  // The size of T itself is meant, even if T is a pointer.
  static constexpr auto bytes = sizeof(T);  // NOLINT(bugprone-sizeof-expression)
  static_assert(bytes <= 8 && __atomic_always_lock_free(bytes, nullptr));

 public:
  constexpr atomic_word() noexcept = default;
  constexpr atomic_word(T value) noexcept : value_(value) {}  // NOLINT(google-explicit-constructor)
  atomic_word(const atomic_word&) = delete;
  atomic_word& operator=(const atomic_word&) = delete;

  template <class Order = order>
  [[gnu::always_inline]] T load(Order o = seq_cst) const noexcept {
    return __atomic_load_n(&value_, static_cast<int>(o));
  }
  template <class Order = order>
  [[gnu::always_inline]] void store(T value, Order o = seq_cst) noexcept {
    __atomic_store_n(&value_, value, static_cast<int>(o));
  }
  template <class Order = order>
  [[gnu::always_inline]] T exchange(T value, Order o = seq_cst) noexcept {
    return __atomic_exchange_n(&value_, value, static_cast<int>(o));
  }
  // Works as std's: on failure `expected` becomes the value that was there, read relaxed.
  template <class Order = order>
  [[gnu::always_inline]] bool compare_exchange_strong(T& expected, T desired,
                                                      Order o = seq_cst) noexcept {
    return __atomic_compare_exchange_n(&value_, &expected, desired, false, static_cast<int>(o),
                                       __ATOMIC_RELAXED);
  }
  template <class Order = order>
  [[gnu::always_inline]] bool compare_exchange_weak(T& expected, T desired,
                                                    Order o = seq_cst) noexcept {
    return __atomic_compare_exchange_n(&value_, &expected, desired, true, static_cast<int>(o),
                                       __ATOMIC_RELAXED);
  }

  // Requires: T is an integer.
  template <class Order = order>
  [[gnu::always_inline]] T fetch_add(T value, Order o = seq_cst) noexcept {
    return __atomic_fetch_add(&value_, value, static_cast<int>(o));
  }
  template <class Order = order>
  [[gnu::always_inline]] T fetch_sub(T value, Order o = seq_cst) noexcept {
    return __atomic_fetch_sub(&value_, value, static_cast<int>(o));
  }
  template <class Order = order>
  [[gnu::always_inline]] T fetch_or(T value, Order o = seq_cst) noexcept {
    return __atomic_fetch_or(&value_, value, static_cast<int>(o));
  }
  template <class Order = order>
  [[gnu::always_inline]] T fetch_and(T value, Order o = seq_cst) noexcept {
    return __atomic_fetch_and(&value_, value, static_cast<int>(o));
  }

 private:
  T value_{};
};

}  // namespace whence::inline v1::sys

#endif  // WHENCE_SYS_ATOMIC_WORD_HPP
