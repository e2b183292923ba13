// SPDX-License-Identifier: Apache-2.0
//
// The string_table of a profile: each text once, valid UTF-8, "" at 0.
#ifndef WHENCE_FORMAT_STRING_TABLE_HPP
#define WHENCE_FORMAT_STRING_TABLE_HPP

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

#include <whence/format/utf8.hpp>
#include <whence/sys/flat_index.hpp>
#include <whence/sys/stable_list.hpp>
#include <whence/sys/vector.hpp>

namespace whence::inline v1::format {

template <class = void>
class basic_string_table {
 public:
  basic_string_table() { add(""); }

  // Requires: the text outlives the table, as the symbolizer's does.
  std::int64_t id(std::string_view text) {
    const std::uint32_t found = find(text);
    if (found != sys::flat_index::none) return found;
    return is_utf8(text) ? add(text) : id_of_copy(to_utf8(text));
  }

  std::int64_t id_of_copy(std::string text) {
    if (!is_utf8(text)) text = to_utf8(text);
    const std::uint32_t found = find(text);
    if (found != sys::flat_index::none) return found;
    return add(copies_.add(std::move(text)));
  }

  const sys::vector<std::string_view>& texts() const noexcept { return texts_; }

 private:
  static std::uint64_t hash(std::string_view text) { return std::hash<std::string_view>()(text); }

  std::uint32_t find(std::string_view text) const {
    return by_hash_.find(hash(text), [&](std::uint32_t i) { return texts_[i] == text; });
  }

  std::int64_t add(std::string_view text) {
    const auto number = static_cast<std::uint32_t>(texts_.size());
    texts_.push_back(text);
    by_hash_.insert(hash(text), number);
    return number;
  }

  sys::stable_list<std::string> copies_;  // texts_ points at them
  sys::vector<std::string_view> texts_;
  sys::flat_index by_hash_;
};
using string_table = basic_string_table<>;

}  // namespace whence::inline v1::format

#endif  // WHENCE_FORMAT_STRING_TABLE_HPP
