// SPDX-License-Identifier: Apache-2.0
//
// Numbers addresses 1, 2, 3 ... in the order of their first use. A profile of a million stacks
// makes some twenty million look-ups, whose price is mispredicted branches, not memory: so the
// table is at most a quarter full, and the hash mixes twice, since one multiplication would map
// addresses at regular distances to clusters. Throws: std::bad_alloc.
#ifndef WHENCE_FORMAT_ADDRESS_INDEX_HPP
#define WHENCE_FORMAT_ADDRESS_INDEX_HPP

#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include <whence/sys/vector.hpp>

namespace whence::inline v1::format {

template <class = void>
class basic_address_index {
 public:
  // Requires: the address is not 0.
  std::uint32_t id(std::uintptr_t address) {
    const slot& s = slots_[home(address)];
    return s.address == address ? s.id : probe(address);
  }

  // addresses()[id - 1]
  const std::vector<std::uintptr_t>& addresses() const noexcept { return addresses_; }

 private:
  struct slot {
    std::uintptr_t address;
    std::uint32_t id;
  };

  std::size_t home(std::uintptr_t address) const noexcept {
    constexpr std::uint64_t golden = 0x9e3779b97f4a7c15;
    const std::uint64_t mixed = address * golden;
    return static_cast<std::size_t>(((mixed ^ mixed >> 32) * golden) >> shift_);
  }
  std::size_t after(std::size_t i) const noexcept { return (i + 1) & (slots_.size() - 1); }

  [[gnu::noinline]] std::uint32_t probe(std::uintptr_t address) {
    for (std::size_t i = home(address); slots_[i].address != 0; i = after(i)) {
      if (slots_[i].address == address) return slots_[i].id;
    }
    return insert(address);
  }

  std::uint32_t insert(std::uintptr_t address) {
    if (4 * (addresses_.size() + 1) > slots_.size()) grow();
    addresses_.push_back(address);
    const auto number = static_cast<std::uint32_t>(addresses_.size());
    place(address, number);
    return number;
  }

  void grow() {
    sys::vector<slot> larger(2 * slots_.size());
    slots_.swap(larger);
    --shift_;
    std::uint32_t number = 0;
    for (const std::uintptr_t a : addresses_) place(a, ++number);
  }

  void place(std::uintptr_t address, std::uint32_t number) noexcept {
    std::size_t i = home(address);
    while (slots_[i].address != 0) i = after(i);
    slots_[i] = {address, number};
  }

  static constexpr int first_bits = 10;
  sys::vector<slot> slots_ = sys::vector<slot>(std::size_t{1} << first_bits);
  std::vector<std::uintptr_t> addresses_;
  int shift_ = 64 - first_bits;
};
using address_index = basic_address_index<>;

}  // namespace whence::inline v1::format

#endif  // WHENCE_FORMAT_ADDRESS_INDEX_HPP
