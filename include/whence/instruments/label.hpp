// SPDX-License-Identifier: Apache-2.0
//
// A label, and the labels of a set as they are read.
#ifndef WHENCE_INSTRUMENTS_LABEL_HPP
#define WHENCE_INSTRUMENTS_LABEL_HPP

#include <cstddef>
#include <string_view>

namespace whence::inline v1::stack {

struct label {
  std::string_view key;
  std::string_view value;
  friend bool operator==(const label&, const label&) = default;
};

// The labels of a set, sorted by key. (std::span, without its thousand lines.)
class label_list {
 public:
  constexpr label_list() noexcept = default;
  constexpr label_list(const label* first, std::size_t size) noexcept
      : first_(first), size_(size) {}

  constexpr const label* begin() const noexcept { return first_; }
  constexpr const label* end() const noexcept { return first_ + size_; }
  constexpr std::size_t size() const noexcept { return size_; }
  constexpr bool empty() const noexcept { return size_ == 0; }
  constexpr const label& operator[](std::size_t i) const noexcept { return first_[i]; }

 private:
  const label* first_ = nullptr;
  std::size_t size_ = 0;
};

}  // namespace whence::inline v1::stack

#endif  // WHENCE_INSTRUMENTS_LABEL_HPP
