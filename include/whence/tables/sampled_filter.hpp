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

#include <whence/sys/zeros.hpp>

namespace whence::inline v1::tables {

class sampled_filter {
  using counter = std::atomic<std::uint8_t>;
  static constexpr int size_bits = 18;
  static constexpr std::size_t size = std::size_t{1} << size_bits;

 public:
  // The counters of a filter, 256 KiB of zeros.
  using storage = sys::zeros<counter, size>;

  constexpr explicit sampled_filter(storage& own) noexcept : storage_(own) {}

  void add(std::uintptr_t address) noexcept { change(address, 1); }
  void remove(std::uintptr_t address) noexcept { change(address, -1); }

  // An address added in this thread, or handed over from the thread that added it, is seen.
  bool may_contain(std::uintptr_t address) const noexcept {
    return storage_.data()[index(address)].load(std::memory_order_relaxed) != 0;
  }

 private:
  static constexpr std::uint8_t stuck = 255;

  static std::size_t index(std::uintptr_t address) noexcept {
    return static_cast<std::size_t>((address * 0x9e3779b97f4a7c15) >> (64 - size_bits));
  }

  void change(std::uintptr_t address, int by) noexcept {
    counter& c = storage_.data()[index(address)];
    std::uint8_t value = c.load(std::memory_order_relaxed);
    while (value != stuck && !c.compare_exchange_weak(value, static_cast<std::uint8_t>(value + by),
                                                      std::memory_order_relaxed)) {
    }
  }

  storage& storage_;
};

}  // namespace whence::inline v1::tables

#endif  // WHENCE_TABLES_SAMPLED_FILTER_HPP
