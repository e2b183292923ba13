// SPDX-License-Identifier: Apache-2.0
//
// A window of any profile: its values at one moment, less those at an earlier one.
#ifndef WHENCE_SNAPSHOTS_DIFFERENCE_HPP
#define WHENCE_SNAPSHOTS_DIFFERENCE_HPP

#include <cstddef>
#include <cstdint>

#include <whence/core/kinds.hpp>
#include <whence/snapshots/snapshot.hpp>
#include <whence/sys/flat_index.hpp>
#include <whence/sys/vector.hpp>
#include <whence/sys/work_check.hpp>
#include <whence/tables/stack_hash.hpp>

namespace whence::inline v1::snapshots {

// Equal for rows of one stack, the same labels, type and number. (Equal sets of labels are one, as
// are equal types.)
inline tables::hash128 identity_of(const profile_row& row) noexcept {
  tables::hasher h;
  h.add(reinterpret_cast<std::uintptr_t>(row.labels.begin()),
        static_cast<std::uint64_t>(row.number));
  h.add(reinterpret_cast<std::uintptr_t>(row.type.data()), row.type.size());
  h.add(row.stack.size(), (row.leaf_is_ip ? 1U : 0U) | (row.truncated ? 2U : 0U));
  for (std::size_t i = 0; i < row.stack.size(); i += 2) {
    h.add(row.stack[i], i + 1 < row.stack.size() ? row.stack[i + 1] : 0);
  }
  return h.finish();
}

// What is left of a profile after a subtraction.
struct delta_rules {
  // Only values that only grow are subtracted: for heap, not what is in use (as godeltaprof).
  bool only_sums = false;
  // Values below zero are kept, and rows that exist at the earlier moment alone; they are zero
  // otherwise.
  bool is_signed = false;
};

// Cost: 48 bytes a row and its place in the index, as long as the window or until the next delta;
// if they are kept below zero, the rows as well.
class baseline {
 public:
  // Throws: std::bad_alloc, and as the check.
  baseline(const profile_snapshot& earlier, delta_rules rules, sys::work_check check = {})
      : rules_(rules),
        sum_count_(static_cast<std::size_t>(core::info(earlier.header.kind).sum_count)),
        time_ns_(earlier.header.time_ns) {
    rows_.reserve(earlier.rows.size());
    for (const profile_row& row : earlier.rows) {
      check.step();
      const tables::hash128 identity = identity_of(row);
      index_.insert(identity.low, static_cast<std::uint32_t>(rows_.size()));
      rows_.push_back({identity, row.values});
    }
    if (!rules_.is_signed) return;
    whole_ = earlier;
    met_.resize(rows_.size());
  }

  std::int64_t time_ns() const noexcept { return time_ns_; }

  // Reduces the row to what was added since. Called once for each row of the later moment.
  void subtract_from(profile_row& row) {
    const std::uint32_t at = find(identity_of(row));
    if (at == sys::flat_index::none) return;
    if (!met_.empty()) met_[at] = true;
    subtract(row, rows_[at].values);
  }

  // If a sum was higher at an earlier moment, that is the one to subtract: everything up to it was
  // reported already. A sum goes back if what it counted turns out to be no event, for example a
  // wait that ends by an exception. Called before this is used. Requires: the kind has sums.
  // Throws: std::bad_alloc.
  void keep_highest_sums(const baseline& earlier) {
    for (const known& before : earlier.rows_) {
      const std::uint32_t at = find(before.identity);
      if (at == sys::flat_index::none) {
        index_.insert(before.identity.low, static_cast<std::uint32_t>(rows_.size()));
        rows_.push_back(before);
        continue;
      }
      for (std::size_t i = 0; i < sum_count_; ++i) {
        if (rows_[at].values[i] < before.values[i]) rows_[at].values[i] = before.values[i];
      }
    }
  }

  // Called then: visit(row) for each row that is gone, with values below zero, if those are kept.
  template <class Visit>
  void for_each_gone(Visit visit) const {
    for (std::size_t i = 0; i < met_.size(); ++i) {
      if (met_[i]) continue;
      profile_row row = whole_.rows[i];
      row.values = {};
      subtract(row, rows_[i].values);
      visit(row);
    }
  }

 private:
  struct known {
    tables::hash128 identity;
    decltype(profile_row::values) values;
  };

  std::uint32_t find(const tables::hash128& identity) const {
    return index_.find(identity.low,
                       [&](std::uint32_t i) { return rows_[i].identity == identity; });
  }

  void subtract(profile_row& row, const decltype(profile_row::values)& before) const {
    const std::size_t count = rules_.only_sums ? sum_count_ : row.values.size();
    for (std::size_t i = 0; i < count; ++i) {
      row.values[i] -= before[i];
      if (row.values[i] < 0 && !rules_.is_signed) row.values[i] = 0;
    }
  }

  const delta_rules rules_;
  const std::size_t sum_count_;
  const std::int64_t time_ns_;
  sys::vector<known> rows_;
  sys::flat_index index_;   // places in rows_
  profile_snapshot whole_;  // if values below zero are kept
  sys::vector<bool> met_;   // likewise
};

}  // namespace whence::inline v1::snapshots

#endif  // WHENCE_SNAPSHOTS_DIFFERENCE_HPP
