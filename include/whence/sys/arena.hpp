// SPDX-License-Identifier: Apache-2.0
//
// A bump allocator over mapped chunks, for what lives as long as the process: buckets of the table,
// profiles and their names. Every block starts a cache line and is zero.
//
//   chunk:  | header, 64 bytes | block | block | ... | unused, never touched |
//
// Invariants: a block is never given back; a full chunk is left behind for good. Threads race on
// one counter; a thread that runs over the end maps the next chunk, and a loser of that race unmaps
// its own.
//
// Signal-safe. Lock-free. Never allocates from the heap.
#ifndef WHENCE_SYS_ARENA_HPP
#define WHENCE_SYS_ARENA_HPP

#include <atomic>
#include <cstddef>
#include <new>

#include <whence/sys/pages.hpp>

namespace whence::inline v1::sys {

inline constexpr std::size_t cache_line = 64;

class arena {
 public:
  constexpr explicit arena(memory_budget& budget) noexcept : budget_(budget) {}

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

  memory_budget& budget() const noexcept { return budget_; }

 private:
  struct alignas(cache_line) chunk {
    std::atomic<std::size_t> used{sizeof(chunk)};
  };
  static constexpr std::size_t chunk_bytes = std::size_t{1} << 20;
  static constexpr std::size_t largest_shared = chunk_bytes / 4;

  static constexpr std::size_t round_up(std::size_t bytes) noexcept {
    return (bytes + cache_line - 1) / cache_line * cache_line;
  }

  void* take(std::size_t bytes) noexcept {
    if (bytes > largest_shared) return map_pages(bytes);
    for (;;) {
      // Pairs with the release below: the chunk's header is there before its address.
      chunk* const c = current_.load(std::memory_order_acquire);
      if (c != nullptr) {
        const std::size_t at = c->used.fetch_add(bytes, std::memory_order_relaxed);
        if (at + bytes <= chunk_bytes) return reinterpret_cast<std::byte*>(c) + at;
      }
      if (!replace(c)) return nullptr;
    }
  }

  bool replace(chunk* full) noexcept {
    void* const pages = map_pages(chunk_bytes);
    if (pages == nullptr) return false;
    chunk* expected = full;
    if (!current_.compare_exchange_strong(expected, ::new (pages) chunk, std::memory_order_release,
                                          std::memory_order_relaxed)) {
      unmap_pages(pages, chunk_bytes);
    }
    return true;
  }

  memory_budget& budget_;
  std::atomic<chunk*> current_{nullptr};
};

}  // namespace whence::inline v1::sys

#endif  // WHENCE_SYS_ARENA_HPP
