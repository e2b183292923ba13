// SPDX-License-Identifier: Apache-2.0
//
// The addresses of a snapshot's frames: the one that a frame is looked up by, the one that is
// written for it, and all of them in the order in which looking them up costs least.
#ifndef WHENCE_FORMAT_LOOKUP_HPP
#define WHENCE_FORMAT_LOOKUP_HPP

#include <cstddef>
#include <cstdint>
#include <limits>
#include <vector>

#include <whence/format/address_index.hpp>
#include <whence/snapshots/snapshot.hpp>
#include <whence/sys/algorithms.hpp>
#include <whence/tables/bucket.hpp>
#include <whence/tables/pseudo_frame.hpp>

namespace whence::inline v1::format {

// The address by which a stack's frame is looked up and listed.
template <class = void>
inline std::uintptr_t lookup_address(const tables::frames& s, std::size_t i) noexcept {
  const std::uintptr_t address = s.pcs[i];
  if (tables::is_pseudo(address)) return tables::pseudo_frame_of(address);
  const unwind::pc at = i == 0 && s.leaf_is_ip ? unwind::pc::instruction(address)
                                               : unwind::pc::return_address(address);
  const std::uintptr_t pc = at.lookup();
  const bool code = !tables::is_pseudo(pc) && pc != std::numeric_limits<std::uintptr_t>::max();
  return code ? pc : tables::pseudo::unknown;
}
template <class = void>
inline std::uintptr_t lookup_address(const profile_row& row, std::size_t i) noexcept {
  return lookup_address({row.stack.data(), row.stack.size(), row.truncated, row.leaf_is_ip}, i);
}

// A stack as it is written: it has at least one frame, and a frame that says so if it was cut off.
template <class = void>
inline std::size_t written_depth(const tables::frames& s) noexcept {
  return s.depth + (s.truncated || s.depth == 0 ? 1 : 0);
}
template <class = void>
inline std::uintptr_t written_address(const tables::frames& s, std::size_t i) noexcept {
  if (i < s.depth) return lookup_address(s, i);
  return s.truncated ? tables::pseudo::truncated : tables::pseudo::unknown;
}

// The address to write for it, or for a return address. (Tests' code keeps addresses as they are.)
template <class Code>
std::uintptr_t place_of(const Code& code, std::uintptr_t address) {
  if constexpr (requires { code.place_of(address); }) {
    return code.place_of(address);
  } else {
    return address;
  }
}

// Looks up all addresses of a snapshot in ascending order: then each module is read once, in
// whatever order the rows need them. Throws: std::bad_alloc.
template <class Code>
void look_up_in_order(Code& code, const profile_snapshot& snapshot) {
  address_index addresses;
  for (const profile_row& row : snapshot.rows) {
    for (std::size_t i = 0; i < row.stack.size(); ++i) {
      const std::uintptr_t address = lookup_address(row, i);
      if (!tables::is_pseudo(address)) addresses.id(address);
    }
  }
  std::vector<std::uintptr_t> sorted = addresses.addresses();
  sys::sort(sorted, [](std::uintptr_t a, std::uintptr_t b) { return a < b; });
  for (const std::uintptr_t address : sorted) (void)code.resolve(address);
}

}  // namespace whence::inline v1::format

#endif  // WHENCE_FORMAT_LOOKUP_HPP
