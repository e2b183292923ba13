// SPDX-License-Identifier: Apache-2.0
//
// What is alive now: from an address or a user's value to the bucket its begin was counted in, so
// that its end is counted there, too.
//
// 64 shards, each a lock and an open-addressing array with linear probing:
//
//   shard: | lock, count, capacity, slots -> | key | extra:16, bucket:48 | key | 0 | ...
//
// What is stored behind a key is a policy: `packed_entry`, one word, or `sized_entry`, which keeps
// the sizes of a block, because a free has none to tell. An empty slot has no bucket. Erasing
// shifts the rest of the run back, so there are no tombstones; an array doubles at 3/4 full, or
// takes no more, so an entry of an 8-byte key costs 21 to 43 bytes. A key may stand once for each
// profile: the bucket tells which.
//
// Thread-safe. Not for signal handlers. Never allocates from the heap, never throws.
#ifndef WHENCE_TABLES_LIVE_MAP_HPP
#define WHENCE_TABLES_LIVE_MAP_HPP

#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <new>

#include <whence/sys/arena.hpp>
#include <whence/sys/mix64.hpp>
#include <whence/sys/spin_lock.hpp>
#include <whence/sys/thread_pointer.hpp>
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

// A bucket, and sixteen bits for the owner of the map, in one word.
class packed_entry {
 public:
  struct entry {
    tables::bucket* bucket = nullptr;  // nullptr: not found
    std::uint16_t extra = 0;
  };

  packed_entry() noexcept = default;
  explicit packed_entry(entry e) noexcept
      : word_(reinterpret_cast<std::uintptr_t>(e.bucket) | (std::uint64_t{e.extra} << 48)) {}

  tables::bucket* bucket() const noexcept {
    return reinterpret_cast<tables::bucket*>(word_ & address_bits);
  }
  entry get() const noexcept { return {bucket(), static_cast<std::uint16_t>(word_ >> 48)}; }

 private:
  static constexpr std::uint64_t address_bits = (std::uint64_t{1} << 48) - 1;
  std::uint64_t word_ = 0;
};

// A bucket, the bytes that were asked for, and those that the program may use of the block.
class sized_entry {
 public:
  struct entry {
    tables::bucket* bucket = nullptr;  // nullptr: not found
    std::size_t bytes = 0, usable = 0;
  };

  sized_entry() noexcept = default;
  explicit sized_entry(entry e) noexcept : entry_(e) {}

  tables::bucket* bucket() const noexcept { return entry_.bucket; }
  entry get() const noexcept { return entry_; }

 private:
  entry entry_;
};

template <class Key, class Stored = packed_entry>
class live_map {
 public:
  using entry = typename Stored::entry;

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
    const shard_hold hold(*this, s);
    // A fuller array would make each later call search half of it.
    if (4 * (s.count + 1) > 3 * s.capacity && !grow(s)) return insertion::full;
    std::size_t i = home(hash, s.capacity);
    for (; s.slots[i].taken(); i = (i + 1) & (s.capacity - 1)) {
      if (s.slots[i].is(key, value.bucket->list)) return insertion::present;
    }
    s.slots[i] = {key, Stored(value)};
    ++s.count;
    return insertion::done;
  }

  // Takes the entry that `key` has in list `list` out of the map.
  entry erase(const Key& key, std::uint16_t list) noexcept {
    const std::uint64_t hash = spread(key);
    shard& s = shard_of(hash);
    const shard_hold hold(*this, s);
    slot* const at = look_up(s, hash, key, list);
    if (at == nullptr) return {};
    const entry found = at->value.get();
    close_gap(s, static_cast<std::size_t>(at - s.slots));
    --s.count;
    return found;
  }

  // The same, left in the map.
  entry find(const Key& key, std::uint16_t list) noexcept {
    const std::uint64_t hash = spread(key);
    shard& s = shard_of(hash);
    const shard_hold hold(*this, s);
    const slot* const at = look_up(s, hash, key, list);
    return at == nullptr ? entry{} : at->value.get();
  }

  // fork holds every shard, so that the child's copy is whole. Hidden, because locks are counted in
  // the module that takes them.
  [[gnu::visibility("hidden")]] void lock_all() noexcept {
    if (shards_ == nullptr) return;
    for (std::size_t i = 0; i < shard_count; ++i) shards_[i].lock.lock();
    holder_.store(sys::thread_pointer(), std::memory_order_relaxed);
  }
  [[gnu::visibility("hidden")]] void unlock_all() noexcept {
    if (shards_ == nullptr) return;
    holder_.store(0, std::memory_order_relaxed);
    for (std::size_t i = 0; i < shard_count; ++i) shards_[i].lock.unlock();
  }

 private:
  struct slot {
    Key key;
    Stored value;

    bool taken() const noexcept { return value.bucket() != nullptr; }
    bool is(const Key& other, std::uint16_t list) const noexcept {
      return key == other && value.bucket()->list == list;
    }
  };
  struct alignas(sys::cache_line) shard {
    sys::spin_lock lock;
    std::size_t count = 0;
    std::size_t capacity = 0;  // zero or a power of two
    slot* slots = nullptr;
  };
  // The thread that forks holds all shards, and handlers of the program's that run then may free.
  class shard_hold {
   public:
    [[gnu::always_inline]] shard_hold(const live_map& map, shard& s) noexcept
        : shard_(map.holder_.load(std::memory_order_relaxed) != sys::thread_pointer() ? &s
                                                                                      : nullptr) {
      if (shard_ != nullptr) shard_->lock.lock();
    }
    [[gnu::always_inline]] ~shard_hold() {
      if (shard_ != nullptr) shard_->lock.unlock();
    }
    shard_hold(const shard_hold&) = delete;
    shard_hold& operator=(const shard_hold&) = delete;

   private:
    shard* shard_;
  };
  static constexpr std::size_t shard_count = 64;
  static constexpr std::size_t first_capacity = std::bit_floor(std::size_t{4096} / sizeof(slot));

  // The shard comes from the upper bits, the slot from those below, so that they are independent.
  shard& shard_of(std::uint64_t hash) const noexcept { return shards_[hash >> 58]; }
  static std::size_t home(std::uint64_t hash, std::size_t capacity) noexcept {
    return hash & (capacity - 1);
  }

  // Requires: the shard is locked.
  static slot* look_up(shard& s, std::uint64_t hash, const Key& key, std::uint16_t list) noexcept {
    if (s.count == 0) return nullptr;
    for (std::size_t i = home(hash, s.capacity); s.slots[i].taken();
         i = (i + 1) & (s.capacity - 1)) {
      if (s.slots[i].is(key, list)) return &s.slots[i];
    }
    return nullptr;
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
      if (!s.slots[from].taken()) continue;
      std::size_t to = home(spread(s.slots[from].key), capacity);
      while (slots[to].taken()) to = (to + 1) & (capacity - 1);
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
    for (std::size_t i = (gap + 1) & mask; s.slots[i].taken(); i = (i + 1) & mask) {
      const std::size_t distance_home = (i - home(spread(s.slots[i].key), s.capacity)) & mask;
      const std::size_t distance_gap = (i - gap) & mask;
      if (distance_home < distance_gap) continue;
      s.slots[gap] = s.slots[i];
      gap = i;
    }
    s.slots[gap].value = Stored{};
  }

  sys::memory_budget& budget_;
  shard* shards_ = nullptr;
  std::atomic<std::uintptr_t> holder_{0};  // of all shards, by its thread pointer
};

}  // namespace whence::inline v1::tables

#endif  // WHENCE_TABLES_LIVE_MAP_HPP
