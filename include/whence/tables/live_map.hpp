// SPDX-License-Identifier: Apache-2.0
//
// What is alive now: from an address or a user's value to the bucket its begin was counted in, so
// that its end is counted there, too.
//
// 64 shards, each a lock and an open-addressing array with linear probing:
//
//   shard: | lock, count, capacity, slots -> | key | extra:16, bucket:48 | key | 0 | ...
//
// An empty slot has a zero word. Erasing shifts the rest of the run back, so there are no
// tombstones; an array doubles at 3/4 full, or takes no more, so an entry of an 8-byte key costs 21
// to 43 bytes. A key may stand once for each profile: the bucket tells which.
//
// Thread-safe. Not for signal handlers. Never allocates from the heap, never throws.
#ifndef WHENCE_TABLES_LIVE_MAP_HPP
#define WHENCE_TABLES_LIVE_MAP_HPP

#include <bit>
#include <cstddef>
#include <cstdint>
#include <new>

#include <whence/sys/arena.hpp>
#include <whence/sys/mix64.hpp>
#include <whence/sys/spin_lock.hpp>
#include <whence/tables/bucket.hpp>
#include <whence/tables/wide_key.hpp>

namespace whence::inline v1::tables {

inline std::uint64_t spread(std::uint64_t key) noexcept {
  return sys::mix64(key);
}
inline std::uint64_t spread(const wide_key& key) noexcept {
  return spread(key.low ^ spread(key.high));
}

enum class insertion : unsigned char { done, present, full };

template <class Key>
class live_map {
 public:
  struct entry {
    tables::bucket* bucket = nullptr;  // nullptr: not found
    std::uint16_t extra = 0;           // sixteen bits for the owner of the map
  };

  constexpr explicit live_map(sys::memory_budget& budget) noexcept : budget_(budget) {}

  // Maps the shards. Requires: one caller at a time, before anything else. False if the kernel
  // refuses; a later call tries again.
  bool open() noexcept {
    if (shards_ != nullptr) return true;
    void* const pages = sys::map_pages(sizeof(shard) * shard_count);
    if (pages == nullptr) return false;
    shards_ = static_cast<shard*>(pages);
    for (std::size_t i = 0; i < shard_count; ++i) ::new (&shards_[i]) shard;
    return true;
  }

  insertion insert(const Key& key, entry value) noexcept {
    const std::uint64_t hash = spread(key);
    shard& s = shard_of(hash);
    const sys::scoped_lock hold(s.lock);
    // A fuller array would make each later call search half of it.
    if (4 * (s.count + 1) > 3 * s.capacity && !grow(s)) return insertion::full;
    std::size_t i = home(hash, s.capacity);
    for (; s.slots[i].word != 0; i = (i + 1) & (s.capacity - 1)) {
      if (s.slots[i].key == key && bucket_of(s.slots[i].word)->list == value.bucket->list) {
        return insertion::present;
      }
    }
    s.slots[i] = {key, pack(value)};
    ++s.count;
    return insertion::done;
  }

  // Takes the entry that `key` has in list `list` out of the map.
  entry erase(const Key& key, std::uint16_t list) noexcept {
    const std::uint64_t hash = spread(key);
    shard& s = shard_of(hash);
    const sys::scoped_lock hold(s.lock);
    if (s.count == 0) return {};
    for (std::size_t i = home(hash, s.capacity); s.slots[i].word != 0;
         i = (i + 1) & (s.capacity - 1)) {
      if (!(s.slots[i].key == key)) continue;
      const entry found = unpack(s.slots[i].word);
      if (found.bucket->list != list) continue;
      close_gap(s, i);
      --s.count;
      return found;
    }
    return {};
  }

  // fork holds every shard, so that the child's copy is whole.
  void lock_all() noexcept {
    if (shards_ == nullptr) return;
    for (std::size_t i = 0; i < shard_count; ++i) shards_[i].lock.lock();
  }
  void unlock_all() noexcept {
    if (shards_ == nullptr) return;
    for (std::size_t i = 0; i < shard_count; ++i) shards_[i].lock.unlock();
  }

 private:
  struct slot {
    Key key;
    std::uint64_t word;
  };
  struct alignas(sys::cache_line) shard {
    sys::spin_lock lock;
    std::size_t count = 0;
    std::size_t capacity = 0;  // zero or a power of two
    slot* slots = nullptr;
  };
  static constexpr std::size_t shard_count = 64;
  static constexpr std::size_t first_capacity = std::bit_floor(std::size_t{4096} / sizeof(slot));
  static constexpr std::uint64_t address_bits = (std::uint64_t{1} << 48) - 1;

  static bucket* bucket_of(std::uint64_t word) noexcept {
    return reinterpret_cast<bucket*>(word & address_bits);
  }
  static std::uint64_t pack(entry e) noexcept {
    return reinterpret_cast<std::uintptr_t>(e.bucket) | (std::uint64_t{e.extra} << 48);
  }
  static entry unpack(std::uint64_t word) noexcept {
    return {bucket_of(word), static_cast<std::uint16_t>(word >> 48)};
  }

  // The shard comes from the upper bits, the slot from those below, so that they are independent.
  shard& shard_of(std::uint64_t hash) const noexcept { return shards_[hash >> 58]; }
  static std::size_t home(std::uint64_t hash, std::size_t capacity) noexcept {
    return hash & (capacity - 1);
  }

  bool grow(shard& s) noexcept {
    const std::size_t capacity = s.capacity == 0 ? first_capacity : 2 * s.capacity;
    if (!budget_.take(capacity * sizeof(slot))) return false;
    auto* const slots = static_cast<slot*>(sys::map_pages(capacity * sizeof(slot)));
    if (slots == nullptr) {
      budget_.give_back(capacity * sizeof(slot));
      return false;
    }
    for (std::size_t from = 0; from < s.capacity; ++from) {
      if (s.slots[from].word == 0) continue;
      std::size_t to = home(spread(s.slots[from].key), capacity);
      while (slots[to].word != 0) to = (to + 1) & (capacity - 1);
      slots[to] = s.slots[from];
    }
    if (s.slots != nullptr) {
      sys::unmap_pages(s.slots, s.capacity * sizeof(slot));
      budget_.give_back(s.capacity * sizeof(slot));
    }
    s.slots = slots;
    s.capacity = capacity;
    return true;
  }

  // Shifts back every later entry of the run that may stand nearer to its home.
  static void close_gap(shard& s, std::size_t gap) noexcept {
    const std::size_t mask = s.capacity - 1;
    for (std::size_t i = (gap + 1) & mask; s.slots[i].word != 0; i = (i + 1) & mask) {
      const std::size_t distance_home = (i - home(spread(s.slots[i].key), s.capacity)) & mask;
      const std::size_t distance_gap = (i - gap) & mask;
      if (distance_home < distance_gap) continue;
      s.slots[gap] = s.slots[i];
      gap = i;
    }
    s.slots[gap].word = 0;
  }

  sys::memory_budget& budget_;
  shard* shards_ = nullptr;
};

}  // namespace whence::inline v1::tables

#endif  // WHENCE_TABLES_LIVE_MAP_HPP
