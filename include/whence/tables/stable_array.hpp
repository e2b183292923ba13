// SPDX-License-Identifier: Apache-2.0
//
// Entries that never move and are never freed, as many as are ever wanted at once:
//
//   segments[k]:  64 * 2^k entries, made when it is first wanted
//
// so that an address of an entry stays valid for ever, and a reader needs no lock.
//
// A type whose entries are all zeros at first says so by a member `is_zeros_at_first`: then a large
// segment is made as fast as a small one, and its pages are touched as they are used.
//
// Thread-safe; reading is lock-free and signal-safe. Never throws.
#ifndef WHENCE_TABLES_STABLE_ARRAY_HPP
#define WHENCE_TABLES_STABLE_ARRAY_HPP

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <new>

#include <whence/sys/nap.hpp>

namespace whence::inline v1::tables {

template <class T, std::size_t Count>
class stable_array {
 public:
  static constexpr std::size_t count = Count;
  static constexpr std::size_t first_size = 64;
  static constexpr std::size_t size_of(std::size_t k) noexcept { return first_size << k; }

  // The first entry of segment k; nullptr if it was not made yet.
  T* get(std::size_t k) const noexcept {
    T* const first = first_[k].load(std::memory_order_acquire);
    return first == being_made() ? nullptr : first;
  }

  // A missing segment is made of allocate(bytes) first, which returns zeros; nullptr if that
  // returns nullptr. Threads that need it at once wait for the one that makes it, which takes as
  // long as a mapping. If that thread is not there any more, after a fork, another takes its place.
  template <class Allocate>
  T* get_or_make(std::size_t k, Allocate allocate) noexcept {
    for (int naps = 0;;) {
      T* known = first_[k].load(std::memory_order_acquire);
      if (known == nullptr) {
        if (first_[k].compare_exchange_strong(known, being_made(), std::memory_order_acquire)) {
          return make(k, allocate);
        }
      } else if (known != being_made()) {
        return known;
      } else if (naps++ == most_naps) {
        return make(k, allocate);
      } else {
        sys::nap();
      }
    }
  }

  // The first entry for which is(entry) is true; nullptr if no entry matches.
  template <class Is>
  T* find(Is is) const {
    for (std::size_t k = 0; k < count; ++k) {
      T* const first = get(k);
      if (first == nullptr) return nullptr;
      for (std::size_t i = 0; i < size_of(k); ++i) {
        if (is(first[i])) return first + i;
      }
    }
    return nullptr;
  }

  template <class Visit>
  void for_each(Visit visit) const {
    find([&visit](T& entry) {
      visit(entry);
      return false;
    });
  }

  // The entry that begins at this address; nullptr if no entry does.
  T* at(const void* address) const noexcept {
    const auto a = reinterpret_cast<std::uintptr_t>(address);
    for (std::size_t k = 0; k < count; ++k) {
      T* const first = get(k);
      if (first == nullptr) return nullptr;
      const std::uintptr_t offset = a - reinterpret_cast<std::uintptr_t>(first);
      if (offset < size_of(k) * sizeof(T)) {
        return offset % sizeof(T) == 0 ? first + offset / sizeof(T) : nullptr;
      }
    }
    return nullptr;
  }

 private:
  static constexpr int most_naps = 5000;  // a tenth of a second

  // No entry has this address.
  static T* being_made() noexcept { return reinterpret_cast<T*>(alignof(T)); }

  template <class Allocate>
  T* make(std::size_t k, Allocate allocate) noexcept {
    auto* const made = static_cast<T*>(allocate(size_of(k) * sizeof(T)));
    if constexpr (!requires { T::is_zeros_at_first; }) {
      for (std::size_t i = 0; made != nullptr && i < size_of(k); ++i) ::new (made + i) T;
    }
    T* expected = being_made();
    // Release: a thread that sees the segment sees its entries made.
    return first_[k].compare_exchange_strong(expected, made, std::memory_order_acq_rel) ? made
                                                                                        : expected;
  }

  std::atomic<T*> first_[Count]{};
};

}  // namespace whence::inline v1::tables

#endif  // WHENCE_TABLES_STABLE_ARRAY_HPP
