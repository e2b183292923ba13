// SPDX-License-Identifier: Apache-2.0
//
// Tells without a lock that an address is certainly not a sampled block. It is a counting Bloom
// filter with one hash: 2^18 counters of 8 bits, touched page by page. A counter that reaches 255
// stays there, so it can only err towards "perhaps".
//
// Lock-free. Never allocates from the heap, never throws.
#ifndef WHENCE_TABLES_SAMPLED_FILTER_HPP
#define WHENCE_TABLES_SAMPLED_FILTER_HPP

#include <atomic>
#include <cstddef>
#include <cstdint>

#include <whence/sys/pages.hpp>

namespace whence::inline v1::tables {

class sampled_filter {
 public:
  // Requires: one caller at a time, before anything else. False if the kernel refuses; a later call
  // tries again.
  bool open() noexcept {
    if (counters_ != nullptr) return true;
    counters_ = static_cast<counter*>(sys::map_pages(size * sizeof(counter)));
    return counters_ != nullptr;
  }

  void add(std::uintptr_t address) noexcept { change(address, 1); }
  void remove(std::uintptr_t address) noexcept { change(address, -1); }

  // An address added in this thread, or handed over from the thread that added it, is seen.
  bool may_contain(std::uintptr_t address) const noexcept {
    return counters_[index(address)].load(std::memory_order_relaxed) != 0;
  }

 private:
  using counter = std::atomic<std::uint8_t>;
  static constexpr int size_bits = 18;
  static constexpr std::size_t size = std::size_t{1} << size_bits;
  static constexpr std::uint8_t stuck = 255;

  static std::size_t index(std::uintptr_t address) noexcept {
    return static_cast<std::size_t>((address * 0x9e3779b97f4a7c15) >> (64 - size_bits));
  }

  void change(std::uintptr_t address, int by) noexcept {
    counter& c = counters_[index(address)];
    std::uint8_t value = c.load(std::memory_order_relaxed);
    while (value != stuck && !c.compare_exchange_weak(value, static_cast<std::uint8_t>(value + by),
                                                      std::memory_order_relaxed)) {
    }
  }

  counter* counters_ = nullptr;
};

}  // namespace whence::inline v1::tables

#endif  // WHENCE_TABLES_SAMPLED_FILTER_HPP
