// SPDX-License-Identifier: Apache-2.0
//
// Objects that stay where they are until the list is destroyed: a reference to one is valid as
// long. A deque, or a vector of unique_ptr, would do as well, but each type in one costs every file
// that includes it ten times as much to compile.
#ifndef WHENCE_SYS_STABLE_LIST_HPP
#define WHENCE_SYS_STABLE_LIST_HPP

#include <utility>

namespace whence::inline v1::sys {

template <class T>
class stable_list {
 public:
  stable_list() = default;
  stable_list(const stable_list&) = delete;
  stable_list& operator=(const stable_list&) = delete;
  ~stable_list() { clear(); }

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

#endif  // WHENCE_SYS_STABLE_LIST_HPP
