// SPDX-License-Identifier: Apache-2.0
//
// A growing array in pages of its own, for a reader of large files. All its memory returns to the
// kernel when it is destroyed: an allocator would keep the pages below later allocations. A child
// of fork does not get it, because it has no use for what its parent reads.
#ifndef WHENCE_SYS_MAPPED_ARRAY_HPP
#define WHENCE_SYS_MAPPED_ARRAY_HPP

#include <sys/mman.h>

#include <cstddef>
#include <cstring>
#include <new>
#include <type_traits>
#include <utility>

#include <whence/sys/pages.hpp>
#include <whence/sys/throw_or_abort.hpp>

namespace whence::inline v1::sys {

// ThreadSanitizer does not see mremap, and takes the former use of the addresses for a race.
#if defined(__SANITIZE_THREAD__)
inline constexpr bool sanitizer_follows_mremap = false;
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
inline constexpr bool sanitizer_follows_mremap = false;
#else
inline constexpr bool sanitizer_follows_mremap = true;
#endif
#else
inline constexpr bool sanitizer_follows_mremap = true;
#endif

template <class T>
requires std::is_trivially_copyable_v<T>
class mapped_array {
 public:
  mapped_array() = default;
  mapped_array(mapped_array&& other) noexcept
      : items_(std::exchange(other.items_, nullptr)),
        size_(std::exchange(other.size_, 0)),
        capacity_(std::exchange(other.capacity_, 0)) {}
  mapped_array& operator=(mapped_array&& other) noexcept {
    swap(other);
    return *this;
  }
  ~mapped_array() { release(); }

  std::size_t size() const noexcept { return size_; }
  bool empty() const noexcept { return size_ == 0; }
  std::size_t bytes() const noexcept { return size_ * sizeof(T); }
  T* data() noexcept { return items_; }
  const T* data() const noexcept { return items_; }
  T* begin() noexcept { return items_; }
  T* end() noexcept { return items_ + size_; }
  const T* begin() const noexcept { return items_; }
  const T* end() const noexcept { return items_ + size_; }
  T& operator[](std::size_t i) noexcept { return items_[i]; }
  const T& operator[](std::size_t i) const noexcept { return items_[i]; }
  T& back() noexcept { return items_[size_ - 1]; }

  // Throws: std::bad_alloc, with all items still there.
  void push_back(const T& item) {
    const T copy = item;  // it may be an element of this array
    reserve(size_ + 1);
    items_[size_++] = copy;
  }
  void append(const T* from, std::size_t count) {
    reserve(size_ + count);
    if (count != 0) std::memcpy(items_ + size_, from, count * sizeof(T));
    size_ += count;
  }
  // New items are zero.
  void resize(std::size_t count) {
    reserve(count);
    if (count > size_)
      std::memset(static_cast<void*>(items_ + size_), 0, (count - size_) * sizeof(T));
    size_ = count;
  }
  // New items keep what the memory holds: zero if it never held an item.
  void resize_untouched(std::size_t count) {
    reserve(count);
    size_ = count;
  }
  void reserve(std::size_t count) {
    if (count <= capacity_) return;
    constexpr std::size_t least = 4096 / sizeof(T) + 1;
    std::size_t wanted = capacity_ * 2 < least ? least : capacity_ * 2;
    if (wanted < count) wanted = count;
    if (wanted > static_cast<std::size_t>(-1) / 2 / sizeof(T)) throw_or_abort<std::bad_alloc>();
    void* const moved =
        items_ == nullptr ? map_pages(wanted * sizeof(T)) : remapped(wanted * sizeof(T));
    if (moved == nullptr) throw_or_abort<std::bad_alloc>();
    ::madvise(moved, wanted * sizeof(T), MADV_DONTFORK);
    items_ = static_cast<T*>(moved);
    capacity_ = wanted;
  }
  void pop_back() noexcept { --size_; }
  void clear() noexcept { size_ = 0; }
  void swap(mapped_array& other) noexcept {
    std::swap(items_, other.items_);
    std::swap(size_, other.size_);
    std::swap(capacity_, other.capacity_);
  }
  void release() noexcept {
    if (items_ != nullptr) unmap_pages(items_, capacity_ * sizeof(T));
    items_ = nullptr;
    size_ = capacity_ = 0;
  }

 private:
  void* remapped(std::size_t bytes) noexcept {
    if constexpr (!sanitizer_follows_mremap) {
      void* const p = map_pages(bytes);
      if (p == nullptr) return nullptr;
      std::memcpy(p, items_, capacity_ * sizeof(T));
      unmap_pages(items_, capacity_ * sizeof(T));
      return p;
    }
    const errno_guard keep;
    void* const p = ::mremap(items_, capacity_ * sizeof(T), bytes, MREMAP_MAYMOVE);
    return p == MAP_FAILED ? nullptr : p;
  }

  T* items_ = nullptr;
  std::size_t size_ = 0;
  std::size_t capacity_ = 0;
};

}  // namespace whence::inline v1::sys

#endif  // WHENCE_SYS_MAPPED_ARRAY_HPP
