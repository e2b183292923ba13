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

// The kernel unmaps whole pages; ThreadSanitizer forgets only as many bytes as the call names.
inline void unmap_pages(void* p, std::size_t bytes) noexcept {
  constexpr std::size_t page = 4096;
  const errno_guard keep;
  ::munmap(p, (bytes + page - 1) / page * page);
}

// How many bytes a share of the tables holds, and may hold. A budget within another takes its bytes
// from both.
class memory_budget {
 public:
  constexpr explicit memory_budget(std::size_t limit, memory_budget* whole = nullptr) noexcept
      : limit_(limit), whole_(whole) {}

  // Returns false, and takes nothing, if the bytes would pass the limit. They are compared before
  // they are added, so that a caller who asks for too much takes no room from others meanwhile.
  bool take(std::size_t bytes) noexcept {
    std::size_t before = used_.load(std::memory_order_relaxed);
    do {
      const std::size_t limit = limit_.load(std::memory_order_relaxed);
      if (bytes > limit || before > limit - bytes) return false;
    } while (!used_.compare_exchange_weak(before, before + bytes, std::memory_order_relaxed));
    if (whole_ == nullptr || whole_->take(bytes)) return true;
    used_.fetch_sub(bytes, std::memory_order_relaxed);
    return false;
  }

  // Serves the few structures that must exist: counted, never refused.
  void take_always(std::size_t bytes) noexcept {
    used_.fetch_add(bytes, std::memory_order_relaxed);
    if (whole_ != nullptr) whole_->take_always(bytes);
  }

  void give_back(std::size_t bytes) noexcept {
    used_.fetch_sub(bytes, std::memory_order_relaxed);
    if (whole_ != nullptr) whole_->give_back(bytes);
  }

  // Requires: no other thread uses the budget.
  void give_all_back() noexcept { give_back(used()); }

  std::size_t used() const noexcept { return used_.load(std::memory_order_relaxed); }
  std::size_t limit() const noexcept { return limit_.load(std::memory_order_relaxed); }
  void set_limit(std::size_t bytes) noexcept { limit_.store(bytes, std::memory_order_relaxed); }

  // What is left of it. Requires: it is within no other.
  std::size_t left() const noexcept {
    const std::size_t all = limit(), taken = used();
    return all > taken ? all - taken : 0;
  }

 private:
  std::atomic<std::size_t> limit_;
  std::atomic<std::size_t> used_{0};
  memory_budget* const whole_;
};

}  // namespace whence::inline v1::sys

#endif  // WHENCE_SYS_PAGES_HPP
