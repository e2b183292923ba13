// SPDX-License-Identifier: Apache-2.0
//
// Objects that stay where they are until the list is destroyed: a reference to one is valid as
// long. A deque, or a vector of unique_ptr, would do as well, but each type in one costs every file
// that includes it ten times as much to compile.
#ifndef WHENCE_SYS_KEPT_HPP
#define WHENCE_SYS_KEPT_HPP

#include <utility>

namespace whence::inline v1::sys {

template <class T>
class kept {
 public:
  kept() = default;
  kept(const kept&) = delete;
  kept& operator=(const kept&) = delete;
  ~kept() { clear(); }

  void clear() noexcept {
    while (newest_ != nullptr) delete std::exchange(newest_, newest_->before);
  }

  // Throws: std::bad_alloc.
  T& add(T it) {
    newest_ = new node{std::move(it), newest_};
    return newest_->it;
  }

 private:
  struct node {
    T it;
    node* before;
  };

  node* newest_ = nullptr;
};

}  // namespace whence::inline v1::sys

#endif  // WHENCE_SYS_KEPT_HPP
