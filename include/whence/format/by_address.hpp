// SPDX-License-Identifier: Apache-2.0
//
// What a writer makes of each address, once. A profile of a million stacks has some twenty million
// frames but only thousands of addresses, so each frame costs only a look-up in this table.
#ifndef WHENCE_FORMAT_BY_ADDRESS_HPP
#define WHENCE_FORMAT_BY_ADDRESS_HPP

#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include <whence/format/address_index.hpp>
#include <whence/format/lookup.hpp>
#include <whence/snapshots/row_source.hpp>
#include <whence/sys/algorithms.hpp>
#include <whence/sys/vector.hpp>
#include <whence/sys/work_check.hpp>
#include <whence/tables/bucket.hpp>

namespace whence::inline v1::format {

template <class T>
class by_address {
 public:
  // Calls make(address), which returns a T, for each written address of the rows; in ascending
  // order, so that each module is read once. Throws: std::bad_alloc, and as the check.
  template <class Make>
  by_address(const snapshots::row_source& rows, Make make, sys::work_check check) {
    for (std::size_t i = 0; i < rows.size(); ++i) {
      check.step();
      const tables::frames s = rows.stack(i);
      for (std::size_t f = 0; f < written_depth(s); ++f) ids_.id(written_address(s, f));
    }
    std::vector<std::uintptr_t> sorted = ids_.addresses();
    sys::sort(sorted, [](std::uintptr_t a, std::uintptr_t b) { return a < b; });
    made_.resize(sorted.size());
    for (const std::uintptr_t address : sorted) {
      check.ask();
      made_[ids_.id(address) - 1] = make(address);
    }
  }

  // Requires: the address is one of the rows'.
  const T& operator[](std::uintptr_t address) { return made_[ids_.id(address) - 1]; }

 private:
  address_index ids_;
  sys::vector<T> made_;
};

}  // namespace whence::inline v1::format

#endif  // WHENCE_FORMAT_BY_ADDRESS_HPP
