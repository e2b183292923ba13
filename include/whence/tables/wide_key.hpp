// SPDX-License-Identifier: Apache-2.0
//
// A key of up to 16 bytes, for handles wider than a pointer.
#ifndef WHENCE_TABLES_WIDE_KEY_HPP
#define WHENCE_TABLES_WIDE_KEY_HPP

#include <cstdint>

namespace whence::inline v1::tables {

struct wide_key {
  std::uint64_t low;
  std::uint64_t high;
  friend bool operator==(const wide_key&, const wide_key&) = default;
};

}  // namespace whence::inline v1::tables

#endif  // WHENCE_TABLES_WIDE_KEY_HPP
