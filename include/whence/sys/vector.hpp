// SPDX-License-Identifier: Apache-2.0
//
// What readers of symbols and writers of profiles need of std::vector. The members of std::vector
// are constexpr: a compiler instantiates the body of each that a template names for a fixed type,
// also in files that never instantiate the template. These it instantiates only if they are called,
// and with fewer layers. Whatever a program sees is a std::vector still. Not for signal handlers.
#ifndef WHENCE_SYS_VECTOR_HPP
#define WHENCE_SYS_VECTOR_HPP

#include <cstddef>
#include <initializer_list>
#include <new>

#include <whence/sys/throw_or_abort.hpp>

namespace whence::inline v1::sys {

// The interface is that of std::vector, and so are its guarantees; but if a resize throws, the
// items that it has made stay. Requires of T: a move constructor that does not throw.
template <class T>
class vector {
 public:
  using value_type = T;
  using iterator = T*;
  using const_iterator = const T*;

  vector() noexcept {}
  explicit vector(std::size_t size) : vector() { resize(size); }
  vector(std::size_t size, const T& value) : vector() { resize(size, value); }
  vector(std::initializer_list<T> items) : vector() { append(items.begin(), items.end()); }
  vector(const T* first, const T* last) : vector() { append(first, last); }
  vector(const vector& other) : vector() { append(other.begin(), other.end()); }
  vector(vector&& other) noexcept : vector() { swap(other); }
  vector& operator=(const vector& other) {
    if (this != &other) vector(other).swap(*this);
    return *this;
  }
  vector& operator=(vector&& other) noexcept {
    if (this != &other) vector(static_cast<vector&&>(other)).swap(*this);
    return *this;
  }
  ~vector() {
    clear();
    ::operator delete(begin_);
  }

  void swap(vector& other) noexcept {
    exchange(begin_, other.begin_);
    exchange(end_, other.end_);
    exchange(limit_, other.limit_);
  }

  T* begin() noexcept { return begin_; }
  T* end() noexcept { return end_; }
  T* data() noexcept { return begin_; }
  T& front() noexcept { return *begin_; }
  T& back() noexcept { return end_[-1]; }
  T& operator[](std::size_t i) noexcept { return begin_[i]; }
  const T* begin() const noexcept { return begin_; }
  const T* end() const noexcept { return end_; }
  const T* data() const noexcept { return begin_; }
  const T& front() const noexcept { return *begin_; }
  const T& back() const noexcept { return end_[-1]; }
  const T& operator[](std::size_t i) const noexcept { return begin_[i]; }

  bool empty() const noexcept { return begin_ == end_; }
  std::size_t size() const noexcept { return static_cast<std::size_t>(end_ - begin_); }
  std::size_t capacity() const noexcept { return static_cast<std::size_t>(limit_ - begin_); }

  template <class... Arguments>
  T& emplace_back(Arguments&&... arguments) {
    if (end_ != limit_) {
      ::new (static_cast<void*>(end_)) T(static_cast<Arguments&&>(arguments)...);
    } else {
      vector larger;
      larger.allocate(empty() ? least_capacity : 2 * size());
      // The arguments may be parts of an item, so it is made before the items move.
      ::new (static_cast<void*>(larger.begin_ + size())) T(static_cast<Arguments&&>(arguments)...);
      larger.take_items(*this);
      swap(larger);
    }
    return *end_++;
  }
  void push_back(const T& item) { emplace_back(item); }
  void push_back(T&& item) { emplace_back(static_cast<T&&>(item)); }
  void pop_back() noexcept { (--end_)->~T(); }
  void clear() noexcept {
    while (end_ != begin_) pop_back();
  }

  // Appends a range that is not of this vector.
  void append(const T* first, const T* last) {
    const std::size_t wanted = size() + static_cast<std::size_t>(last - first);
    if (wanted > capacity()) reserve(wanted > 2 * size() ? wanted : 2 * size());
    for (; first != last; ++first) emplace_back(*first);
  }

  T* erase(const T* item) noexcept { return erase(item, item + 1); }
  T* erase(const T* first, const T* last) noexcept {
    T* const hole = begin_ + (first - begin_);
    if (first == last) return hole;  // an item is not to be moved to itself
    T* to = hole;
    for (T* from = begin_ + (last - begin_); from != end_; ++from, ++to) {
      *to = static_cast<T&&>(*from);
    }
    while (end_ != to) pop_back();
    return hole;
  }

  void resize(std::size_t size) {
    resize_to_less(size);
    reserve(size);
    while (this->size() < size) emplace_back();
  }
  void resize(std::size_t size, const T& value) {
    if (size <= this->size()) return resize_to_less(size);
    const T copy(value);  // it may be an item, which moves
    reserve(size);
    while (this->size() < size) emplace_back(copy);
  }
  void reserve(std::size_t wanted) {
    if (wanted > capacity()) reallocate(wanted);
  }
  void shrink_to_fit() {
    if (size() < capacity()) reallocate(size());
  }

  friend bool operator==(const vector& a, const vector& b) {
    if (a.size() != b.size()) return false;
    for (std::size_t i = 0; i < a.size(); ++i) {
      if (!(a[i] == b[i])) return false;
    }
    return true;
  }

 private:
  static constexpr std::size_t least_capacity = 4;

  void resize_to_less(std::size_t size) noexcept {
    while (this->size() > size) pop_back();
  }

  static void exchange(T*& a, T*& b) noexcept {
    T* const before = a;
    a = b;
    b = before;
  }

  void allocate(std::size_t capacity) {
    static_assert(alignof(T) <= __STDCPP_DEFAULT_NEW_ALIGNMENT__);
    static_assert(noexcept(T(static_cast<T&&>(*begin_))));
    std::size_t bytes = 0;
    if (__builtin_mul_overflow(capacity, sizeof(T), &bytes)) throw_or_abort<std::bad_alloc>();
    begin_ = end_ = static_cast<T*>(::operator new(bytes));
    limit_ = begin_ + capacity;
  }

  void reallocate(std::size_t capacity) {
    vector other;
    if (capacity != 0) other.allocate(capacity);
    other.take_items(*this);
    swap(other);
  }

  // Requires: this one is empty, and has the capacity.
  void take_items(vector& other) noexcept {
    for (T* item = other.begin_; item != other.end_; ++item, ++end_) {
      ::new (static_cast<void*>(end_)) T(static_cast<T&&>(*item));
    }
  }

  T* begin_ = nullptr;
  T* end_ = nullptr;
  T* limit_ = nullptr;
};

}  // namespace whence::inline v1::sys

#endif  // WHENCE_SYS_VECTOR_HPP
