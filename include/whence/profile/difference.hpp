// SPDX-License-Identifier: Apache-2.0
//
// A window of any profile: what it says at one moment, less what it said at an earlier one.
#ifndef WHENCE_PROFILE_DIFFERENCE_HPP
#define WHENCE_PROFILE_DIFFERENCE_HPP

#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include <whence/profile/kinds.hpp>
#include <whence/profile/snapshot.hpp>
#include <whence/stack/hash.hpp>
#include <whence/sys/flat_index.hpp>

namespace whence::inline v1::core {

// Equal for rows of one stack, the same labels and number. (Equal sets of labels are one.)
inline stack::hash128 identity_of(const profile_row& row) noexcept {
  stack::hasher h;
  h.add(reinterpret_cast<std::uintptr_t>(row.labels.begin()),
        static_cast<std::uint64_t>(row.number));
  h.add(row.stack.size(), (row.leaf_is_ip ? 1U : 0U) | (row.truncated ? 2U : 0U));
  for (std::size_t i = 0; i < row.stack.size(); i += 2) {
    h.add(row.stack[i], i + 1 < row.stack.size() ? row.stack[i + 1] : 0);
  }
  return h.finish();
}

enum class below_zero : bool { is_zero, is_kept };

// Which values of a kind are subtracted.
enum class subtracted : bool {
  all,
  sums,  // those that only ever grow: of heap, not what is in use (as godeltaprof has it)
};

class earlier_rows {
 public:
  // Throws: std::bad_alloc.
  explicit earlier_rows(profile_snapshot earlier) : earlier_(std::move(earlier)) {
    identities_.reserve(earlier_.rows.size());
    for (const profile_row& row : earlier_.rows) {
      identities_.push_back(identity_of(row));
      index_.insert(identities_.back().low, static_cast<std::uint32_t>(identities_.size() - 1));
    }
    met_.resize(identities_.size());
  }

  std::int64_t time_ns() const noexcept { return earlier_.header.time_ns; }

  // Makes it what was added since. Each row of the later moment once.
  void subtract_from(profile_row& row, subtracted which, below_zero negative) {
    const stack::hash128 identity = identity_of(row);
    const std::uint32_t at =
        index_.find(identity.low, [&](std::uint32_t i) { return identities_[i] == identity; });
    if (at == sys::flat_index::none) return;
    met_[at] = true;
    subtract(row, earlier_.rows[at], which, negative);
  }

  // Then: visit(row) for those that are there no more, below zero.
  template <class Visit>
  void for_each_gone(Visit visit) const {
    for (std::size_t i = 0; i < met_.size(); ++i) {
      if (met_[i]) continue;
      profile_row row = earlier_.rows[i];
      row.values = {};
      subtract(row, earlier_.rows[i], subtracted::all, below_zero::is_kept);
      visit(row);
    }
  }

 private:
  void subtract(profile_row& row, const profile_row& before, subtracted which,
                below_zero negative) const {
    const bool memory = earlier_.header.kind == kind::heap || earlier_.header.kind == kind::allocs;
    const std::size_t values =
        memory && which == subtracted::sums ? first_in_use : row.values.size();
    for (std::size_t i = 0; i < values; ++i) {
      row.values[i] -= before.values[i];
      if (row.values[i] < 0 && negative == below_zero::is_zero) row.values[i] = 0;
    }
  }

  static constexpr std::size_t first_in_use = 2;  // of memory_kind's values

  const profile_snapshot earlier_;
  std::vector<stack::hash128> identities_;  // of its rows
  std::vector<bool> met_;
  sys::flat_index index_;
};

}  // namespace whence::inline v1::core

#endif  // WHENCE_PROFILE_DIFFERENCE_HPP
