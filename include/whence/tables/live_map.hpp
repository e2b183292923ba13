// SPDX-License-Identifier: Apache-2.0
//
// What is alive now: from an address or a user's value to the bucket its begin was counted in, so
// that its end is counted there, too.
//
// 64 shards, each a lock and an open-addressing array with linear probing:
//
//   shard: | lock, count, now -> | key | stored | key | 0 | ...
//                       older -> | key | moved  | key | 0 | ...       while it grows
//
// What is stored behind a key is a policy (stored_entry.hpp). An empty slot has no bucket. Erasing
// shifts the rest of the run back, so there are no tombstones; an array doubles at 3/4 full, or
// takes no more, so an entry of an 8-byte key costs 21 to 43 bytes, and half as much again until
// all is moved. A key may stand once for each profile: the bucket tells which.
//
// The lock is a spin lock, so it is held for a run of slots and a few steps only. A larger array is
// mapped and touched without it, by the one thread that first found too little room; meanwhile
// others fill the array further, to 7/8. Each later call moves the entries of 16 slots, so all are
// moved after a sixteenth as many calls as the array has slots. What was moved or erased in the
// older array stays as a mark, over which a search goes on.
//
// Thread-safe. Not for signal handlers. Never allocates from the heap, never throws.
#ifndef WHENCE_TABLES_LIVE_MAP_HPP
#define WHENCE_TABLES_LIVE_MAP_HPP

#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <utility>

#include <whence/sys/arena.hpp>
#include <whence/sys/mix64.hpp>
#include <whence/sys/spin_lock.hpp>
#include <whence/sys/thread_pointer.hpp>
#include <whence/tables/bucket.hpp>
#include <whence/tables/stored_entry.hpp>
#include <whence/tables/wide_key.hpp>

namespace whence::inline v1::tables {

inline std::uint64_t spread(std::uint64_t key) noexcept {
  return sys::mix64(key);
}
inline std::uint64_t spread(const wide_key& key) noexcept {
  return spread(key.low ^ spread(key.high));
}

enum class insertion : unsigned char { done, present, full };

// What a test is told: of the time in which a lock is held, and of that in which none is.
struct unseen_steps {
  static void moved(std::size_t /*slots*/) noexcept {}
  static void made(std::size_t /*slots*/) noexcept {}
};

template <class Key, class Stored = packed_entry, class Steps = unseen_steps>
class live_map {
  struct slot;
  struct array;
  struct shard;
  static constexpr std::size_t shard_count = 64;

 public:
  using entry = typename Stored::entry;
  // The shards of a map, 4 KiB of zeros.
  struct storage;

  constexpr live_map(storage& own, sys::memory_budget& budget) noexcept
      : budget_(budget), shards_(own.shards) {}

  insertion insert(const Key& key, entry value) noexcept {
    const std::uint64_t hash = spread(key);
    shard& s = shard_of(hash);
    array larger;
    for (std::size_t asked = 0;;) {  // the size that was asked of make()
      array dropped;
      insertion result = insertion::full;
      bool makes_larger = false;
      {
        const shard_hold hold(*this, s);
        if (s.in_the_making == asked) s.in_the_making = 0;
        if (larger.size > s.now.size && s.older.slots == nullptr) {
          s.older = std::exchange(s.now, std::exchange(larger, array{}));
          s.moved = 0;
        }
        dropped = move_some(s);
        if (has_room(s) || (s.in_the_making != 0 && is_below_last(s))) {
          result = insert_into(s, hash, key, value);
        } else if (asked <= s.now.size) {
          // This is the first round; or others have put in as large an array, and filled it, while
          // this thread waited for a processor.
          makes_larger = true;
          asked = s.now.size == 0 ? first_capacity : 2 * s.now.size;
          s.in_the_making = asked;
        }
      }
      give_back(dropped);
      give_back(std::exchange(larger, array{}));
      if (!makes_larger) return result;
      larger = make(asked);
      Steps::made(asked);
    }
  }

  // Takes the entry that `key` has in list `list` out of the map.
  entry erase(const Key& key, std::uint16_t list) noexcept {
    const std::uint64_t hash = spread(key);
    shard& s = shard_of(hash);
    array dropped;
    entry found;
    {
      const shard_hold hold(*this, s);
      if (s.count == 0) return {};
      dropped = move_some(s);
      found = erase_from(s, hash, key, list);
    }
    give_back(dropped);
    return found;
  }

  // The same, left in the map.
  entry find(const Key& key, std::uint16_t list) noexcept {
    const std::uint64_t hash = spread(key);
    shard& s = shard_of(hash);
    const shard_hold hold(*this, s);
    if (s.count == 0) return {};
    const slot* at = &find(s.now, hash, key, list);
    if (at->is_empty() && s.older.slots != nullptr) at = &find(s.older, hash, key, list);
    return at->is_empty() ? entry{} : at->stored.get();
  }

  // fork holds every shard, so that the child's copy is whole. Hidden, because locks are counted in
  // the module that takes them.
  [[gnu::visibility("hidden")]] void lock_all() noexcept {
    for (std::size_t i = 0; i < shard_count; ++i) shards_[i].lock.lock();
    holder_.store(sys::thread_pointer(), std::memory_order_relaxed);
  }
  [[gnu::visibility("hidden")]] void unlock_all() noexcept {
    holder_.store(0, std::memory_order_relaxed);
    for (std::size_t i = 0; i < shard_count; ++i) shards_[i].lock.unlock();
  }

 private:
  struct slot {
    Key key;
    Stored stored;

    bool is_empty() const noexcept { return stored.bucket() == nullptr; }
    bool is_mark() const noexcept { return stored.bucket() == Stored::mark().bucket(); }
    bool is(const Key& other, std::uint16_t list) const noexcept {
      return !is_mark() && key == other && stored.bucket()->list == list;
    }
  };
  struct array {
    slot* slots = nullptr;
    std::size_t size = 0;  // zero or a power of two
  };
  struct alignas(sys::cache_line) shard {
    sys::spin_lock lock;
    std::size_t in_the_making = 0;  // the size of an array that a thread makes, 0 if none does
    std::size_t count = 0;          // entries in both
    array now, older;
    std::size_t moved = 0;  // slots of `older` that are empty or marked
  };
  static_assert(sizeof(shard) == sys::cache_line);
  static constexpr std::size_t first_capacity = std::bit_floor(std::size_t{4096} / sizeof(slot));
  static constexpr std::size_t slots_in_step = 16;

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

  // The shard comes from the upper bits, the slot from those below, so that they are independent.
  shard& shard_of(std::uint64_t hash) const noexcept { return shards_[hash >> 58]; }
  static std::size_t home(std::uint64_t hash, std::size_t capacity) noexcept {
    return hash & (capacity - 1);
  }

  // A fuller array would make each later call search half of it.
  static bool has_room(const shard& s) noexcept { return 4 * (s.count + 1) <= 3 * s.now.size; }
  static bool is_below_last(const shard& s) noexcept { return 8 * (s.count + 1) <= 7 * s.now.size; }

  // All its pages are touched, so that no thread meets a fault while it holds the lock.
  array make(std::size_t size) noexcept {
    constexpr std::size_t page = 4096;
    const std::size_t bytes = size * sizeof(slot);
    if (!budget_.take(bytes)) return {};
    void* const pages = sys::map_pages(bytes);
    if (pages == nullptr) {
      budget_.give_back(bytes);
      return {};
    }
    for (std::size_t at = 0; at < bytes; at += page) {
      static_cast<volatile char*>(pages)[at] = 0;
    }
    return {static_cast<slot*>(pages), size};
  }
  void give_back(const array& a) noexcept {
    if (a.slots == nullptr) return;
    sys::unmap_pages(a.slots, a.size * sizeof(slot));
    budget_.give_back(a.size * sizeof(slot));
  }

  // ---- Requires: the shard's lock is held.

  // Moves the entries of a few slots to the present array. Returns the older one once it is empty.
  static array move_some(shard& s) noexcept {
    if (s.older.slots == nullptr) return {};
    const std::size_t first = s.moved;
    for (; s.moved < s.older.size && s.moved - first < slots_in_step; ++s.moved) {
      slot& from = s.older.slots[s.moved];
      if (from.is_empty() || from.is_mark()) continue;
      std::size_t to = home(spread(from.key), s.now.size);
      while (!s.now.slots[to].is_empty()) to = (to + 1) & (s.now.size - 1);
      s.now.slots[to] = from;
      from.stored = Stored::mark();
    }
    Steps::moved(s.moved - first);
    if (s.moved < s.older.size) return {};
    const array empty = s.older;
    s.older = {};
    return empty;
  }

  // The slot of the key in a list, or the empty one at the end of its run.
  static slot& find(const array& a, std::uint64_t hash, const Key& key,
                    std::uint16_t list) noexcept {
    std::size_t i = home(hash, a.size);
    for (; !a.slots[i].is_empty(); i = (i + 1) & (a.size - 1)) {
      if (a.slots[i].is(key, list)) break;
    }
    return a.slots[i];
  }

  static insertion insert_into(shard& s, std::uint64_t hash, const Key& key, entry value) noexcept {
    const std::uint16_t list = value.bucket->list;
    if (s.older.slots != nullptr && !find(s.older, hash, key, list).is_empty()) {
      return insertion::present;
    }
    slot& place = find(s.now, hash, key, list);
    if (!place.is_empty()) return insertion::present;
    place = {key, Stored(value)};
    ++s.count;
    return insertion::done;
  }

  static entry erase_from(shard& s, std::uint64_t hash, const Key& key,
                          std::uint16_t list) noexcept {
    slot& place = find(s.now, hash, key, list);
    if (!place.is_empty()) {
      const entry found = place.stored.get();
      close_gap(s.now, static_cast<std::size_t>(&place - s.now.slots));
      --s.count;
      return found;
    }
    if (s.older.slots == nullptr) return {};
    slot& old = find(s.older, hash, key, list);
    if (old.is_empty()) return {};
    const entry found = old.stored.get();
    old.stored = Stored::mark();
    --s.count;
    return found;
  }

  // Shifts back every later entry of the run that may stand nearer to its home.
  static void close_gap(const array& a, std::size_t gap) noexcept {
    const std::size_t mask = a.size - 1;
    for (std::size_t i = (gap + 1) & mask; !a.slots[i].is_empty(); i = (i + 1) & mask) {
      const std::size_t distance_home = (i - home(spread(a.slots[i].key), a.size)) & mask;
      const std::size_t distance_gap = (i - gap) & mask;
      if (distance_home < distance_gap) continue;
      a.slots[gap] = a.slots[i];
      gap = i;
    }
    a.slots[gap].stored = Stored{};
  }

  sys::memory_budget& budget_;
  shard* const shards_;
  std::atomic<std::uintptr_t> holder_{0};  // of all shards, by its thread pointer
};

template <class Key, class Stored, class Steps>
struct live_map<Key, Stored, Steps>::storage {
  shard shards[shard_count]{};
};

}  // namespace whence::inline v1::tables

#endif  // WHENCE_TABLES_LIVE_MAP_HPP
