// SPDX-License-Identifier: Apache-2.0
//
// Labels whose values are not kept for ever, as a run of words that can be copied while another
// thread may write over it. For each label:
//
//   | size of the value, 16 bits | address of the key's text, 48 bits | text, 8 bytes a word | ...
//
// A key's text lives as long as the process (label_sets.hpp). The last word of a text ends in
// zeros.
//
// Signal-safe. Lock-free. Never allocates.
#ifndef WHENCE_TABLES_LABEL_VALUES_HPP
#define WHENCE_TABLES_LABEL_VALUES_HPP

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>

#include <whence/sys/short_text.hpp>

namespace whence::inline v1::tables {

// A label as a program gives it, of which a set shows `[other]`.
struct replaced_label {
  const std::string_view* key;
  std::string_view value;
  std::uint64_t hash;  // of both texts (label_hash.hpp)
};

// The labels that a set could not show. Room for as many as it has is the caller's.
struct replaced_labels {
  replaced_label* items = nullptr;
  std::size_t size = 0;

  bool empty() const noexcept { return size == 0; }
  const replaced_label* begin() const noexcept { return items; }
  const replaced_label* end() const noexcept { return items + size; }
  void add(const replaced_label& l) noexcept { items[size++] = l; }
};

// Such a run, somewhere.
struct label_values {
  const std::atomic<std::uint64_t>* words = nullptr;
  std::size_t size = 0;    // words
  std::uint64_t hash = 0;  // the sum of the labels': the same in any order
  // If it is not nullptr, the words are valid only as long as this is `valid_at`.
  const std::atomic<std::uint64_t>* state = nullptr;
  std::uint64_t valid_at = 0;

  static constexpr int address_bits = 48;

  bool empty() const noexcept { return size == 0; }

  // True if what was read until now is what the run was made with. Requires: the words were read
  // with acquire.
  bool still_valid() const noexcept {
    return state == nullptr || state->load(std::memory_order_acquire) >> 1 == valid_at;
  }

  static constexpr std::size_t words_of(std::size_t text_size) noexcept {
    return 1 + (text_size + 7) / 8;
  }
  static std::uint64_t head(const replaced_label& l) noexcept {
    return std::uint64_t{l.value.size()} << address_bits | reinterpret_cast<std::uintptr_t>(l.key);
  }
  static std::size_t text_size(std::uint64_t head) noexcept { return head >> address_bits; }
  static const std::string_view& key(std::uint64_t head) noexcept {
    return *reinterpret_cast<const std::string_view*>(head &
                                                      ((std::uint64_t{1} << address_bits) - 1));
  }

  // Calls visit(head, first word of the text) for each label.
  template <class Visit>
  void for_each(Visit visit) const {
    for (std::size_t i = 0; i < size;) {
      const std::uint64_t h = words[i].load(std::memory_order_acquire);
      const std::size_t next = i + words_of(text_size(h));
      if (next > size) return;  // it was written over
      visit(h, words + i + 1);
      i = next;
    }
  }

  // Calls visit(word) for each word of a text.
  template <class Visit>
  static void for_each_word(std::string_view text, Visit visit) noexcept {
    const char* const p = text.data();
    const std::size_t n = text.size();
    std::size_t at = 0;
    for (; at + 8 <= n; at += 8) visit(sys::word_at<std::uint64_t>(p + at));
    const std::size_t rest = n - at;
    if (rest == 0) return;
    // The bytes before the rest are shifted out: machines are little-endian.
    if (n >= 8) return visit(sys::word_at<std::uint64_t>(p + n - 8) >> (8 * (8 - rest)));
    std::uint64_t word = 0;
    std::memcpy(&word, p, n);
    visit(word);
  }

  // Writes the text of a label to `to`, which has room for all its words.
  static void copy_text(std::uint64_t head, const std::atomic<std::uint64_t>* from,
                        char* to) noexcept {
    for (std::size_t at = 0; at < text_size(head); at += 8) {
      const std::uint64_t word = (from++)->load(std::memory_order_acquire);
      std::memcpy(to + at, &word, sizeof word);
    }
  }
};

}  // namespace whence::inline v1::tables

#endif  // WHENCE_TABLES_LABEL_VALUES_HPP
