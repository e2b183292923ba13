// SPDX-License-Identifier: Apache-2.0
//
// A bump allocator over mapped chunks, for what lives as long as the arena: buckets of a table,
// profiles and their names. Every block starts a cache line and is zero.
//
//   newest chunk:  | header, 64 bytes | block | block | ... | unused, never touched |
//     --older-->   a full chunk  --older-->  ...
//
// Invariants: no block that is in use is given back alone; all are at once, by release(). Threads
// race on one counter; a thread that runs over the end maps the next chunk, and a loser of that
// race unmaps its own. A block above a quarter of a chunk has a mapping of its own.
//
// An arena may begin with a chunk of its owner's, from which blocks come even if the kernel gives
// no memory.
//
// Signal-safe. Lock-free. Never allocates from the heap.
#ifndef WHENCE_SYS_ARENA_HPP
#define WHENCE_SYS_ARENA_HPP

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <new>

#include <whence/sys/pages.hpp>

namespace whence::inline v1::sys {

inline constexpr std::size_t cache_line = 64;

class arena {
  struct alignas(cache_line) chunk {
    std::atomic<std::size_t> used{0};  // bytes behind the header; more if they did not suffice
    std::size_t bytes = 0;             // of the mapping; 0 if it is the owner's
    chunk* older = nullptr;

    std::size_t room() const noexcept { return bytes != 0 ? bytes - sizeof(chunk) : first_bytes; }
    std::byte* blocks() noexcept { return reinterpret_cast<std::byte*>(this + 1); }
  };

 public:
  static constexpr std::size_t first_bytes = std::size_t{64} * 1024 - sizeof(chunk);

  // A chunk of the owner's: zeros, of which only the touched pages take memory if it is static.
  struct first_chunk {
    chunk header;
    unsigned char blocks[first_bytes]{};
  };

  constexpr explicit arena(memory_budget& budget) noexcept : budget_(budget) {}
  constexpr arena(memory_budget& budget, first_chunk& first) noexcept
      : budget_(budget), current_(&first.header) {}

  static constexpr std::size_t round_up(std::size_t bytes) noexcept {
    return (bytes + cache_line - 1) / cache_line * cache_line;
  }

  // nullptr past the budget's limit, or if the kernel refuses.
  void* allocate(std::size_t bytes) noexcept {
    const std::size_t rounded = round_up(bytes);
    if (!budget_.take(rounded)) return nullptr;
    void* const block = take(rounded);
    if (block == nullptr) budget_.give_back(rounded);
    return block;
  }

  // Counted, but not held to the limit: for the bounded few that must exist. nullptr only if the
  // kernel refuses.
  void* allocate_always(std::size_t bytes) noexcept {
    const std::size_t rounded = round_up(bytes);
    void* const block = take(rounded);
    if (block != nullptr) budget_.take_always(rounded);
    return block;
  }

  // Takes back a block that only its caller knows. If another block came after it, it stays here,
  // unused and counted.
  void take_back(void* block, std::size_t bytes) noexcept {
    const std::size_t rounded = round_up(bytes);
    if (rounded > largest_shared ? drop_large(block) : drop_last(block, rounded)) {
      budget_.give_back(rounded);
    }
  }

  memory_budget& budget() const noexcept { return budget_; }

  // Gives all memory back to the kernel; the budget, and a first chunk, are their owner's.
  // Requires: no other thread uses the arena or a block of it.
  void release() noexcept {
    unmap_all(current_);
    unmap_all(large_);
  }

 private:
  static constexpr std::size_t chunk_bytes = std::size_t{1} << 20;
  static constexpr std::size_t largest_shared = chunk_bytes / 4;

  void* take(std::size_t bytes) noexcept {
    if (bytes > largest_shared) return take_large(bytes);
    for (;;) {
      // Pairs with the release below: the chunk's header is there before its address.
      chunk* const c = current_.load(std::memory_order_acquire);
      if (c != nullptr) {
        // Pairs with the release of drop_last: a block that was taken back is zero.
        const std::size_t at = c->used.fetch_add(bytes, std::memory_order_acquire);
        if (at + bytes <= c->room()) return c->blocks() + at;
      }
      if (!replace(c)) return nullptr;
    }
  }

  static chunk* make(std::size_t bytes) noexcept {
    void* const pages = map_pages(bytes);
    if (pages == nullptr) return nullptr;
    auto* const c = ::new (pages) chunk;
    c->bytes = bytes;
    return c;
  }

  bool replace(chunk* full) noexcept {
    chunk* const made = make(chunk_bytes);
    if (made == nullptr) return false;
    made->older = full;
    if (!current_.compare_exchange_strong(full, made, std::memory_order_release,
                                          std::memory_order_relaxed)) {
      unmap_pages(made, chunk_bytes);
    }
    return true;
  }

  void* take_large(std::size_t bytes) noexcept {
    chunk* const made = make(sizeof(chunk) + bytes);
    if (made == nullptr) return nullptr;
    made->older = large_.load(std::memory_order_relaxed);
    while (!large_.compare_exchange_weak(made->older, made, std::memory_order_release,
                                         std::memory_order_relaxed)) {
    }
    return made + 1;
  }

  bool drop_large(void* block) noexcept {
    chunk* const it = static_cast<chunk*>(block) - 1;
    chunk* newest = it;
    if (!large_.compare_exchange_strong(newest, it->older, std::memory_order_acquire,
                                        std::memory_order_relaxed)) {
      return false;
    }
    unmap_pages(it, it->bytes);
    return true;
  }

  bool drop_last(void* block, std::size_t bytes) noexcept {
    chunk* const c = current_.load(std::memory_order_acquire);
    const auto at =
        reinterpret_cast<std::uintptr_t>(block) - reinterpret_cast<std::uintptr_t>(c->blocks());
    if (at >= c->room()) return false;
    std::memset(block, 0, bytes);
    std::size_t end = at + bytes;
    return c->used.compare_exchange_strong(end, at, std::memory_order_release,
                                           std::memory_order_relaxed);
  }

  static void unmap_all(std::atomic<chunk*>& newest) noexcept {
    chunk* c = newest.exchange(nullptr, std::memory_order_acquire);
    while (c != nullptr) {
      chunk* const older = c->older;
      if (c->bytes != 0) unmap_pages(c, c->bytes);
      c = older;
    }
  }

  memory_budget& budget_;
  std::atomic<chunk*> current_{nullptr};
  std::atomic<chunk*> large_{nullptr};
};

}  // namespace whence::inline v1::sys

#endif  // WHENCE_SYS_ARENA_HPP
