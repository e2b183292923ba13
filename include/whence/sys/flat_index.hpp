// SPDX-License-Identifier: Apache-2.0
//
// Finds the items of a vector by their hash: open addressing, half full at most. The owner keeps
// the items, in the order they came; this keeps where each one is.
//
//   slots:  | hash | position + 1 | hash | position + 1 | - | 0 | ...
//
// It serves readers of profiles; std::unordered_map would add 5000 lines to what they include.
#ifndef WHENCE_SYS_FLAT_INDEX_HPP
#define WHENCE_SYS_FLAT_INDEX_HPP

#include <cstddef>
#include <cstdint>

#include <whence/sys/vector.hpp>

namespace whence::inline v1::sys {

class flat_index {
 public:
  static constexpr std::uint32_t none = 0xffffffff;

  // The position of the item with that hash for which same(position) holds, or `none`.
  template <class Same>
  std::uint32_t find(std::uint64_t hash, Same same) const {
    for (std::size_t i = hash & mask(); slots_[i].next != 0; i = (i + 1) & mask()) {
      if (slots_[i].hash == hash && same(slots_[i].next - 1)) return slots_[i].next - 1;
    }
    return none;
  }

  // Forgets all, and gives most of the memory back. (It keeps an array, so it cannot fail.)
  void clear() noexcept {
    slots_.resize(first_size);
    slots_.shrink_to_fit();
    for (slot& s : slots_) s = {};
    size_ = 0;
  }

  // Requires: find(hash, ...) was `none`; position is below 2^32 - 1.
  void insert(std::uint64_t hash, std::uint32_t position) {
    if (2 * (size_ + 1) > slots_.size()) grow();
    place({hash, position + 1});
    ++size_;
  }

 private:
  struct slot {
    std::uint64_t hash = 0;
    std::uint32_t next = 0;  // position + 1; 0: empty
  };

  std::size_t mask() const noexcept { return slots_.size() - 1; }

  void place(slot s) noexcept {
    std::size_t i = s.hash & mask();
    while (slots_[i].next != 0) i = (i + 1) & mask();
    slots_[i] = s;
  }

  void grow() {
    vector<slot> before(2 * slots_.size());
    before.swap(slots_);
    for (const slot& s : before) {
      if (s.next != 0) place(s);
    }
  }

  static constexpr std::size_t first_size = 64;

  vector<slot> slots_ = vector<slot>(first_size);
  std::size_t size_ = 0;
};

}  // namespace whence::inline v1::sys

#endif  // WHENCE_SYS_FLAT_INDEX_HPP
