// SPDX-License-Identifier: Apache-2.0
//
// The string_table of a profile: every text once, valid UTF-8, "" at 0.
#ifndef WHENCE_FORMAT_STRING_TABLE_HPP
#define WHENCE_FORMAT_STRING_TABLE_HPP

#include <cstdint>
#include <deque>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include <whence/format/utf8.hpp>

namespace whence::inline v1::format {

class string_table {
 public:
  // Requires: the text outlives the table, as the symbolizer's does.
  std::int64_t id(std::string_view text) {
    if (const auto found = ids_.find(text); found != ids_.end()) return found->second;
    return is_utf8(text) ? add(text) : id_of_copy(to_utf8(text));
  }

  std::int64_t id_of_copy(std::string text) {
    if (!is_utf8(text)) text = to_utf8(text);
    if (const auto found = ids_.find(text); found != ids_.end()) return found->second;
    return add(copies_.emplace_back(std::move(text)));
  }

  const std::vector<std::string_view>& texts() const noexcept { return texts_; }

 private:
  std::int64_t add(std::string_view text) {
    const auto number = static_cast<std::int64_t>(texts_.size());
    texts_.push_back(text);
    ids_.emplace(text, number);
    return number;
  }

  std::deque<std::string> copies_;  // a deque, since texts_ points at its elements
  std::vector<std::string_view> texts_{""};
  std::unordered_map<std::string_view, std::int64_t> ids_{{"", 0}};
};

}  // namespace whence::inline v1::format

#endif  // WHENCE_FORMAT_STRING_TABLE_HPP
