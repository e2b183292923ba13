// SPDX-License-Identifier: Apache-2.0
//
// Maps a code address to its rule: a slot is one word, read and written whole, so it needs no lock
// and no reader ever sees half of an entry.
//
//   slot:    | rule, 32 | key / 2^15, 32 |      at index key mod 2^15
//
// Index and upper bits together are the key: a hit is exact. An entry that a slot loses to another
// address goes to a second, smaller cache of pairs, whose halves prove each other:
//
//   victim:  | key ^ mix64(rule), 64 |  rule, 64 |
//
// Signal-safe. Lock-free. 272 KiB, touched page by page, whatever the size of the program.
#ifndef WHENCE_UNWIND_RULE_CACHE_HPP
#define WHENCE_UNWIND_RULE_CACHE_HPP

#include <atomic>
#include <cstddef>
#include <cstdint>

#include <whence/sys/mix64.hpp>
#include <whence/sys/zeros.hpp>
#include <whence/unwind/arch.hpp>

namespace whence::inline v1::unwind {

class rule_cache {
 public:
  static constexpr std::size_t slot_count = std::size_t{1} << 15;
  static constexpr std::size_t victim_count = 1024;

  using slot = std::atomic<std::uint64_t>;
  struct victim {
    std::atomic<std::uint64_t> proof;
    std::atomic<std::uint64_t> rule_bits;
  };

  // Zeros are a cache without rules.
  struct storage {
    sys::zeros<slot, slot_count> slots;
    sys::zeros<victim, victim_count> victims;
  };

  constexpr explicit rule_cache(storage& own) noexcept : storage_(own) {}

  // Looks slots up; a walk keeps one in a register.
  class reader {
   public:
    explicit reader(const slot* slots) noexcept : slots_(slots) {}

    // Returns no rule if the address is not in its slot.
    [[gnu::always_inline]] rule find(std::uint64_t key) const noexcept {
      const std::uint64_t found = slots_[index(key)].load(std::memory_order_relaxed);
      // This is a branch, so that the next step begins before the comparison is done.
      if (static_cast<std::uint32_t>(found) != key >> index_bits) [[unlikely]]
        return {};
      return rule::from_word(found);
    }

   private:
    const slot* slots_;
  };

  reader read() const noexcept { return reader(storage_.slots.data()); }

  // The rule of an address that lost its slot; it gets it back.
  rule find_victim(std::uint64_t key) noexcept {
    victim* const v = victim_of(key);
    const std::uint64_t found = v->rule_bits.load(std::memory_order_relaxed);
    const std::uint64_t proof = v->proof.load(std::memory_order_relaxed);
    if (found == 0 || (proof ^ sys::mix64(found)) != key) return {};
    const rule r = rule::from_word(found);
    insert(key, r);
    return r;
  }

  void insert(std::uint64_t key, rule r) noexcept {
    if (key >> index_bits >> 32 != 0) return;  // not an address of user space
    const std::size_t i = index(key);
    const std::uint64_t lost = storage_.slots.data()[i].exchange(
        (r.word() & rule::bits) | key >> index_bits, std::memory_order_relaxed);
    if (lost == 0) return;
    const std::uint64_t lost_key = key_of(lost, i);
    if (lost_key == key) return;
    victim* const v = victim_of(lost_key);
    const std::uint64_t lost_rule = lost & rule::bits;
    v->rule_bits.store(lost_rule, std::memory_order_relaxed);
    v->proof.store(lost_key ^ sys::mix64(lost_rule), std::memory_order_relaxed);
  }

 private:
  static constexpr unsigned index_bits = 15;
  static constexpr std::uint64_t index_mask = slot_count - 1;

  static constexpr std::size_t index(std::uint64_t key) noexcept {
    return static_cast<std::size_t>(key & index_mask);
  }
  static constexpr std::uint64_t key_of(std::uint64_t entry, std::size_t i) noexcept {
    return (entry & 0xffffffff) << index_bits | i;
  }
  victim* victim_of(std::uint64_t key) const noexcept {
    return storage_.victims.data() + (sys::mix64(key) & (victim_count - 1));
  }

  storage& storage_;
};

}  // namespace whence::inline v1::unwind

#endif  // WHENCE_UNWIND_RULE_CACHE_HPP
