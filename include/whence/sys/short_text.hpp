// SPDX-License-Identifier: Apache-2.0
//
// Short texts as words: the lookup of a label reads a few bytes, and a call of memcmp or memcpy for
// each would cost more than all the rest. A text of 8 bytes or more is covered by whole words, the
// last of which overlaps; a shorter one is one word. Signal-safe.
#ifndef WHENCE_SYS_SHORT_TEXT_HPP
#define WHENCE_SYS_SHORT_TEXT_HPP

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>

namespace whence::inline v1::sys {

template <class Word>
std::uint64_t word_at(const char* p) noexcept {
  Word w;
  std::memcpy(&w, p, sizeof w);
  return w;
}

// The word of a text shorter than 8 bytes; two texts of one length are equal if their words are.
inline std::uint64_t word_of(const char* p, std::size_t size) noexcept {
  if (size >= 4) {
    return word_at<std::uint32_t>(p) << 32 | word_at<std::uint32_t>(p + size - 4);
  }
  if (size >= 2) {
    return word_at<std::uint16_t>(p) << 32 | word_at<std::uint16_t>(p + size - 2);
  }
  return size == 0 ? 0 : word_at<std::uint8_t>(p);
}

// Calls visit(word) for words that, with the length, determine the text.
template <class Visit>
void for_each_word(std::string_view text, Visit visit) noexcept {
  const char* const p = text.data();
  const std::size_t n = text.size();
  if (n < 8) return visit(word_of(p, n));
  for (std::size_t i = 0; i + 8 < n; i += 8) visit(word_at<std::uint64_t>(p + i));
  visit(word_at<std::uint64_t>(p + n - 8));
}

inline bool same_text(std::string_view x, std::string_view y) noexcept {
  if (x.size() != y.size()) return false;
  const char* const a = x.data();
  const char* const b = y.data();
  const std::size_t n = x.size();
  if (n < 8) return word_of(a, n) == word_of(b, n);
  for (std::size_t i = 0; i + 8 < n; i += 8) {
    if (word_at<std::uint64_t>(a + i) != word_at<std::uint64_t>(b + i)) return false;
  }
  return word_at<std::uint64_t>(a + n - 8) == word_at<std::uint64_t>(b + n - 8);
}

}  // namespace whence::inline v1::sys

#endif  // WHENCE_SYS_SHORT_TEXT_HPP
