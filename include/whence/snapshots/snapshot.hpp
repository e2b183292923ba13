// SPDX-License-Identifier: Apache-2.0
//
// What a profile shows at one moment: the header and rows of a stack with its values. Writers and
// tests read this and nothing else, so neither needs a live profile.
//
// A row's stack points into the table of stacks, whose memory is never freed, or into memory that
// the snapshot and its copies share.
#ifndef WHENCE_SNAPSHOTS_SNAPSHOT_HPP
#define WHENCE_SNAPSHOTS_SNAPSHOT_HPP

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <whence/core/kinds.hpp>
#include <whence/tables/label_sets.hpp>
#include <whence/unwind/pc.hpp>

namespace whence::inline v1 {

// Values are final: scaled, in the units and the order of core::info(kind).values.
struct profile_row {
  std::span<const std::uintptr_t> stack;  // leaf first; return addresses, but see leaf_is_ip
  bool leaf_is_ip = false;         // stack[0] is an interrupted instruction, not a return address
  bool truncated = false;          // frames beyond the root end were cut off
  instruments::label_list labels;  // sorted by key
  std::string_view type;           // heap: what was allocated; never freed. Empty: unknown
  std::int64_t number = 0;         // the label core::info(kind).number; 0: no label
  std::array<std::int64_t, core::max_values> values{};
  std::array<std::int64_t, core::max_values> raw{};  // as recorded, unscaled (Go's text format)

  unwind::pc frame(std::size_t i) const noexcept {
    return i == 0 && leaf_is_ip ? unwind::pc::instruction(stack[i])
                                : unwind::pc::return_address(stack[i]);
  }

  // Calls visit(const instruments::label&) for each label, and for the type as one more, unless the
  // program itself uses that key.
  template <class Visit>
  void for_each_label(Visit visit) const {
    const instruments::label of_type{"type", type};
    bool shown = type.empty();
    for (const instruments::label& l : labels) {
      shown = shown || l.key == of_type.key;
      visit(l);
    }
    if (!shown) visit(of_type);
  }
};

// What holds for the whole profile. Times are nanoseconds; time_ns since the Unix epoch.
struct profile_header {
  std::string name;
  instruments::kind kind = instruments::kind::custom;
  std::int64_t period = 1;
  std::int64_t time_ns = 0;
  std::int64_t duration_ns = 0;  // windows and sessions only
  std::vector<std::string> comments;
  std::vector<std::string> warnings;  // what is missing: shown in every form
};

struct profile_snapshot {
  profile_header header;
  std::vector<profile_row> rows;       // no two with the same stack, labels, type and number
  std::shared_ptr<const void> memory;  // holds stacks and labels that are in no table
};

}  // namespace whence::inline v1

#endif  // WHENCE_SNAPSHOTS_SNAPSHOT_HPP
