// SPDX-License-Identifier: Apache-2.0
//
// Entries that never move and are never freed, as many as are ever wanted at once:
//
//   segments[k]:  64 * 2^k entries, made when it is first wanted
//
// so that an address of an entry stays valid for ever, and a reader needs no lock.
//
// Thread-safe, lock-free, signal-safe if `allocate` is. Never throws.
#ifndef WHENCE_SYS_SEGMENTS_HPP
#define WHENCE_SYS_SEGMENTS_HPP

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <new>

namespace whence::inline v1::sys {

template <class T, std::size_t Count>
class segments {
 public:
  static constexpr std::size_t count = Count;
  static constexpr std::size_t first_size = 64;
  static constexpr std::size_t size_of(std::size_t k) noexcept { return first_size << k; }

  // The first entry of segment k; nullptr if it was not made yet.
  T* get(std::size_t k) const noexcept { return first_[k].load(std::memory_order_acquire); }

  // A missing segment is made of allocate(bytes) first; nullptr if that returns nullptr. The loser
  // of a race leaves its segment behind: an arena takes nothing back.
  template <class Allocate>
  T* get_or_make(std::size_t k, Allocate allocate) noexcept {
    T* known = get(k);
    if (known != nullptr) return known;
    void* const memory = allocate(size_of(k) * sizeof(T));
    if (memory == nullptr) return nullptr;
    auto* const made = static_cast<T*>(memory);
    for (std::size_t i = 0; i < size_of(k); ++i) ::new (made + i) T;
    // Release: a thread that sees the segment sees its entries made.
    return first_[k].compare_exchange_strong(known, made, std::memory_order_acq_rel) ? made : known;
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
  std::atomic<T*> first_[Count]{};
};

}  // namespace whence::inline v1::sys

#endif  // WHENCE_SYS_SEGMENTS_HPP
