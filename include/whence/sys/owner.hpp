// SPDX-License-Identifier: Apache-2.0
//
// What readers of symbols need of std::unique_ptr. Each type in a std::unique_ptr, and the tuple
// and the traits in it, costs every file that includes it, whether the file uses it or not.
#ifndef WHENCE_SYS_OWNER_HPP
#define WHENCE_SYS_OWNER_HPP

#include <cstddef>

namespace whence::inline v1::sys {

// Deletes what it owns. The type may be incomplete as long as nothing is deleted.
template <class T>
class owner {
 public:
  owner() noexcept {}
  owner(std::nullptr_t) noexcept {}
  explicit owner(T* it) noexcept : it_(it) {}
  owner(owner&& other) noexcept : it_(other.release()) {}
  owner& operator=(owner&& other) noexcept {
    reset(other.release());
    return *this;
  }
  ~owner() { delete it_; }

  T* get() const noexcept { return it_; }
  T* operator->() const noexcept { return it_; }
  T& operator*() const noexcept { return *it_; }
  friend bool operator==(const owner& a, std::nullptr_t) noexcept { return a.it_ == nullptr; }

  T* release() noexcept {
    T* const it = it_;
    it_ = nullptr;
    return it;
  }
  void reset(T* it = nullptr) noexcept {
    T* const before = it_;
    it_ = it;
    delete before;
  }

 private:
  T* it_ = nullptr;
};

// The same for an array.
template <class T>
class owner<T[]> {
 public:
  owner() noexcept {}
  explicit owner(T* it) noexcept : it_(it) {}
  owner(const owner&) = delete;
  owner& operator=(owner&& other) noexcept {
    T* const moved = other.it_;
    other.it_ = nullptr;
    delete[] it_;
    it_ = moved;
    return *this;
  }
  ~owner() { delete[] it_; }

  T* get() const noexcept { return it_; }
  T& operator[](std::size_t i) const noexcept { return it_[i]; }

 private:
  T* it_ = nullptr;
};

// Throws: std::bad_alloc, and what the constructor throws.
template <class T, class... Arguments>
owner<T> make_owned(Arguments&&... arguments) {
  return owner<T>(new T(static_cast<Arguments&&>(arguments)...));
}

}  // namespace whence::inline v1::sys

#endif  // WHENCE_SYS_OWNER_HPP
