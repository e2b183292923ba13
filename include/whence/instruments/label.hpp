// SPDX-License-Identifier: Apache-2.0
//
// A label, the values that a program may give it, and the labels of a set as they are read.
#ifndef WHENCE_INSTRUMENTS_LABEL_HPP
#define WHENCE_INSTRUMENTS_LABEL_HPP

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <type_traits>
#include <utility>

namespace whence::inline v1::instruments {

struct label {
  std::string_view key;
  std::string_view value;
  friend bool operator==(const label&, const label&) = default;
};

// An integer type whose values are numbers. Characters and truth values are excluded, because their
// values mean something else.
template <class T>
concept label_number = std::is_integral_v<T> && !std::same_as<T, bool> && !std::same_as<T, char> &&
                       !std::same_as<T, wchar_t> && !std::same_as<T, char8_t> &&
                       !std::same_as<T, char16_t> && !std::same_as<T, char32_t>;

// A text, or a number that is written in decimal digits when a set is made of it. It refers to the
// text, as std::string_view does.
class label_value {
 public:
  // Room for the digits of any number and its sign.
  using digits = char[20];

  constexpr label_value() noexcept = default;
  template <std::convertible_to<std::string_view> Text>
  constexpr label_value(const Text& text) noexcept : label_value(std::string_view(text)) {}
  constexpr label_value(std::string_view text) noexcept : text_(text.data()), size_(text.size()) {}
  template <label_number Number>
  constexpr label_value(Number n) noexcept
      : size_(n < 0 ? 0 - static_cast<std::uint64_t>(n) : static_cast<std::uint64_t>(n)),
        kind_(n < 0 ? kind::below_zero : kind::number) {}

  // If it is a number, its digits are written to `room`.
  std::string_view text(digits& room) const noexcept {
    if (kind_ == kind::text) return {text_, size_};
    std::size_t at = sizeof room;
    std::uint64_t left = size_;
    do {
      room[--at] = static_cast<char>('0' + left % 10);
      left /= 10;
    } while (left != 0);
    if (kind_ == kind::below_zero) room[--at] = '-';
    return {room + at, sizeof room - at};
  }

 private:
  enum class kind : unsigned char { text, number, below_zero };

  const char* text_ = nullptr;
  std::uint64_t size_ = 0;  // of the text, or the number without its sign
  kind kind_ = kind::text;
};

using label_pair = std::pair<std::string_view, label_value>;

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

}  // namespace whence::inline v1::instruments

#endif  // WHENCE_INSTRUMENTS_LABEL_HPP
