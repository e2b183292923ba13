// SPDX-License-Identifier: Apache-2.0
//
// Memory straight from the kernel, and the account of it. Nothing here calls the program's own
// allocator, so it works inside an allocation and inside a signal handler.
//
// Signal-safe. Lock-free. Never allocates from the heap.
#ifndef WHENCE_SYS_PAGES_HPP
#define WHENCE_SYS_PAGES_HPP

#include <sys/mman.h>

#include <atomic>
#include <cstddef>

#include <whence/sys/errno_guard.hpp>

namespace whence::inline v1::sys {

// Returns zeroed, private pages, committed as they are touched. nullptr if the kernel refuses.
inline void* map_pages(std::size_t bytes) noexcept {
  const errno_guard keep;
  void* const p = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE,
                         MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  return p == MAP_FAILED ? nullptr : p;
}

inline void unmap_pages(void* p, std::size_t bytes) noexcept {
  const errno_guard keep;
  ::munmap(p, bytes);
}

// How many bytes all tables together hold, and may hold.
class memory_budget {
 public:
  constexpr explicit memory_budget(std::size_t limit) noexcept : limit_(limit) {}

  // Returns false, and takes nothing, if the bytes would pass the limit.
  bool take(std::size_t bytes) noexcept {
    const std::size_t before = used_.fetch_add(bytes, std::memory_order_relaxed);
    if (before + bytes <= limit_.load(std::memory_order_relaxed)) return true;
    used_.fetch_sub(bytes, std::memory_order_relaxed);
    return false;
  }

  // Serves the few structures that must exist: counted, never refused.
  void take_always(std::size_t bytes) noexcept {
    used_.fetch_add(bytes, std::memory_order_relaxed);
  }

  void give_back(std::size_t bytes) noexcept { used_.fetch_sub(bytes, std::memory_order_relaxed); }

  std::size_t used() const noexcept { return used_.load(std::memory_order_relaxed); }
  std::size_t limit() const noexcept { return limit_.load(std::memory_order_relaxed); }
  void set_limit(std::size_t bytes) noexcept { limit_.store(bytes, std::memory_order_relaxed); }

 private:
  std::atomic<std::size_t> limit_;
  std::atomic<std::size_t> used_{0};
};

}  // namespace whence::inline v1::sys

#endif  // WHENCE_SYS_PAGES_HPP
