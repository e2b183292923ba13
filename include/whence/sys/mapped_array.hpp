// SPDX-License-Identifier: Apache-2.0
//
// A growing array in pages of its own, for what is read, used and given back: malloc would keep the
// memory, or take it for a reason to keep the next. A child of fork does not get it: whoever fills
// one does so under a lock that no child ever gets.
//
// Throws: std::bad_alloc, with all items still there. Not for signal handlers.
#ifndef WHENCE_SYS_MAPPED_ARRAY_HPP
#define WHENCE_SYS_MAPPED_ARRAY_HPP

#include <sys/mman.h>

#include <cstddef>
#include <new>
#include <type_traits>
#include <utility>

#include <whence/sys/errno_guard.hpp>
#include <whence/sys/pages.hpp>

namespace whence::inline v1::sys {

template <class T>
class mapped_array {
 public:
  static_assert(std::is_trivially_copyable_v<T> && std::is_trivially_destructible_v<T>);

  mapped_array() = default;
  mapped_array(mapped_array&& other) noexcept { swap(other); }
  mapped_array& operator=(mapped_array&& other) noexcept {
    swap(other);
    return *this;
  }
  ~mapped_array() {
    if (items_ != nullptr) unmap_pages(items_, bytes_);
  }

  std::size_t size() const noexcept { return size_; }
  bool empty() const noexcept { return size_ == 0; }
  T* data() noexcept { return items_; }
  const T* data() const noexcept { return items_; }
  T* begin() noexcept { return items_; }
  T* end() noexcept { return items_ + size_; }
  const T* begin() const noexcept { return items_; }
  const T* end() const noexcept { return items_ + size_; }
  T& operator[](std::size_t i) noexcept { return items_[i]; }
  const T& operator[](std::size_t i) const noexcept { return items_[i]; }

  void push_back(const T& item) {
    if (size_ == bytes_ / sizeof(T)) reserve(2 * size_ + 1);
    ::new (static_cast<void*>(items_ + size_)) T(item);
    ++size_;
  }
  void pop_back() noexcept { --size_; }
  void clear() noexcept { size_ = 0; }

  // New items are zero bytes.
  void resize(std::size_t items) {
    reserve(items);
    for (; size_ < items; ++size_) ::new (static_cast<void*>(items_ + size_)) T{};
    size_ = items;
  }

  void reserve(std::size_t items) {
    if (items <= bytes_ / sizeof(T)) return;
    if (items > most_bytes / sizeof(T)) throw std::bad_alloc();
    const std::size_t bytes = (items * sizeof(T) + unit - 1) / unit * unit;
    const errno_guard keep;
    void* const grown =
        items_ == nullptr ? map_pages(bytes) : ::mremap(items_, bytes_, bytes, MREMAP_MAYMOVE);
    if (grown == nullptr || grown == MAP_FAILED) throw std::bad_alloc();
    ::madvise(grown, bytes, MADV_DONTFORK);
    items_ = static_cast<T*>(grown);
    bytes_ = bytes;
  }

  void swap(mapped_array& other) noexcept {
    std::swap(items_, other.items_);
    std::swap(size_, other.size_);
    std::swap(bytes_, other.bytes_);
  }

 private:
  static constexpr std::size_t unit = std::size_t{1} << 16;
  static constexpr std::size_t most_bytes = std::size_t{1} << 40;

  T* items_ = nullptr;
  std::size_t size_ = 0;
  std::size_t bytes_ = 0;
};

}  // namespace whence::inline v1::sys

#endif  // WHENCE_SYS_MAPPED_ARRAY_HPP
