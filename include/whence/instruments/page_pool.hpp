// SPDX-License-Identifier: Apache-2.0
//
// Memory for a process whose allocator is not known yet (next_malloc.hpp). A block begins a page,
// so that its end takes the slow path of free, which asks whose it is; it is never given back.
// Lock-free.
#ifndef WHENCE_INSTRUMENTS_PAGE_POOL_HPP
#define WHENCE_INSTRUMENTS_PAGE_POOL_HPP

#include <cstddef>
#include <cstdint>

#include <whence/sys/atomic_word.hpp>

namespace whence::inline v1::instruments {

class [[gnu::visibility("hidden")]] page_pool {
 public:
  // nullptr if it is exhausted. The pages are zero.
  static void* take(std::size_t bytes) noexcept {
    const std::size_t pages = bytes / page + 1;
    if (pages > page_count) return nullptr;
    const std::size_t first = used_.fetch_add(pages, sys::relaxed);
    if (first + pages > page_count) return nullptr;
    sizes_[first] = pages * page;
    return pages_ + first * page;
  }

  static bool has(const void* block) noexcept {
    return offset(block) < sizeof pages_;
  }

  // Requires: the pool has the block.
  static std::size_t size_of(const void* block) noexcept {
    return sizes_[offset(block) / page];
  }

 private:
  static constexpr std::size_t page = 4096;
  static constexpr std::size_t page_count = 64;

  static std::size_t offset(const void* block) noexcept {
    return reinterpret_cast<std::uintptr_t>(block) - reinterpret_cast<std::uintptr_t>(pages_);
  }

  alignas(page) static inline constinit unsigned char pages_[page_count * page]{};
  static inline constinit std::size_t sizes_[page_count]{};
  static inline constinit sys::atomic_word<std::size_t> used_{0};
};

}  // namespace whence::inline v1::instruments

#endif  // WHENCE_INSTRUMENTS_PAGE_POOL_HPP
