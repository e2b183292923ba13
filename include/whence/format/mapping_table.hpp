// SPDX-License-Identifier: Apache-2.0
//
// Gives every address a mapping, since readers drop or refuse locations without one:
//
//   0x1 ... 0x1000    [whence]    the pseudo-frames, if the profile has any
//   mapped files                  as the process has them, the program first
//   in between        [unknown]   one for each gap with addresses in it: unloaded or generated code
//
// Mapping ids begin with 1; mappings never overlap. Throws: std::bad_alloc.
#ifndef WHENCE_FORMAT_MAPPING_TABLE_HPP
#define WHENCE_FORMAT_MAPPING_TABLE_HPP

#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>
#include <utility>
#include <vector>

#include <whence/symbols/mappings.hpp>
#include <whence/sys/algorithms.hpp>
#include <whence/sys/vector.hpp>
#include <whence/tables/pseudo_frame.hpp>

namespace whence::inline v1::format {

template <class = void>
class basic_mapping_table {
 public:
  // Requires: no address is the highest possible one, which no half-open range can hold.
  basic_mapping_table(sys::vector<symbols::mapping> mapped,
                      std::span<const std::uintptr_t> addresses)
      : mappings_(std::move(mapped)) {
    leave_out_unused(addresses);
    if (mappings_.empty()) add(tables::first_code_address, last, "[unknown]");
    order();
    std::vector<std::uintptr_t> strays;
    bool pseudo = false;
    for (const std::uintptr_t a : addresses) {
      if (tables::is_pseudo(a)) {
        pseudo = true;
      } else if (find(a) == nullptr) {
        strays.push_back(a);
      }
    }
    sys::sort(strays, [](std::uintptr_t a, std::uintptr_t b) { return a < b; });
    cover(strays);
    if (pseudo) add(1, tables::first_code_address, "[whence]");
    order();
  }

  // Requires: the table was made with this address.
  std::uint64_t id(std::uintptr_t address) const { return find(address)->id; }

  // mappings()[id - 1]
  const sys::vector<symbols::mapping>& mappings() const noexcept { return mappings_; }

 private:
  struct range {
    std::uintptr_t start, limit;
    std::uint64_t id;
  };
  static constexpr std::uintptr_t last = std::numeric_limits<std::uintptr_t>::max();
  static constexpr std::uintptr_t page_mask = 0xfff;

  // Leaves out optional mappings that hold no address.
  void leave_out_unused(std::span<const std::uintptr_t> addresses) {
    order();
    sys::vector<bool> used(mappings_.size());
    for (const std::uintptr_t a : addresses) {
      if (const range* const r = find(a)) used[r->id - 1] = true;
    }
    std::size_t i = 0;
    sys::erase_if(mappings_,
                  [&](const symbols::mapping& m) { return !used[i++] && m.is_optional; });
  }

  // Makes one mapping for each gap, in whole pages as far as the gap has them.
  void cover(std::span<const std::uintptr_t> strays) {
    for (std::size_t i = 0; i < strays.size();) {
      const std::size_t above = first_above(strays[i]);
      const std::uintptr_t floor = above == 0 ? 0 : ranges_[above - 1].limit;
      const std::uintptr_t ceiling = above == ranges_.size() ? last : ranges_[above].start;
      const std::uintptr_t start = sys::most(floor, strays[i] & ~page_mask);
      while (i < strays.size() && strays[i] < ceiling) ++i;
      const std::uintptr_t top = strays[i - 1] | page_mask;
      add(start, top >= ceiling ? ceiling : top + 1, "[unknown]");
    }
  }

  void add(std::uintptr_t start, std::uintptr_t limit, const char* name) {
    mappings_.push_back({start, limit, 0, name, "", {}, false});
  }

  void order() {
    ranges_.clear();
    for (const symbols::mapping& m : mappings_)
      ranges_.push_back({m.start, m.limit, ranges_.size() + 1});
    sys::sort(ranges_, [](const range& a, const range& b) { return a.start < b.start; });
  }

  const range* find(std::uintptr_t address) const {
    const std::size_t above = first_above(address);
    if (above == 0) return nullptr;
    const range& r = ranges_[above - 1];
    return address < r.limit ? &r : nullptr;
  }

  std::size_t first_above(std::uintptr_t address) const {
    return sys::first_after(ranges_, [address](const range& r) { return address < r.start; });
  }

  sys::vector<symbols::mapping> mappings_;
  sys::vector<range> ranges_;  // sorted by start
};
using mapping_table = basic_mapping_table<>;

}  // namespace whence::inline v1::format

#endif  // WHENCE_FORMAT_MAPPING_TABLE_HPP
