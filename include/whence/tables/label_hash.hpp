// SPDX-License-Identifier: Apache-2.0
//
// Hashes of a label's texts. Signal-safe.
#ifndef WHENCE_TABLES_LABEL_HASH_HPP
#define WHENCE_TABLES_LABEL_HASH_HPP

#include <cstdint>
#include <string_view>

#include <whence/sys/mix64.hpp>
#include <whence/sys/short_text.hpp>
#include <whence/tables/stack_hash.hpp>

namespace whence::inline v1::tables {

inline std::uint64_t hash_of_text(std::string_view text) noexcept {
  hasher h;
  sys::for_each_word(text, [&](std::uint64_t word) { h.add(text.size(), word); });
  return h.finish().low;
}
inline std::uint64_t combined_hash(std::uint64_t a, std::uint64_t b) noexcept {
  return sys::mix64(a + 0x9e3779b97f4a7c15 * b);
}

}  // namespace whence::inline v1::tables

#endif  // WHENCE_TABLES_LABEL_HASH_HPP
