// SPDX-License-Identifier: Apache-2.0
//
// The rows of a profile for writers that visit them several times: to look up all names, to sort,
// to write. A snapshot's rows have 136 bytes each; those of a live profile need only 40, because
// their stacks and labels stay in the tables.
#ifndef WHENCE_SNAPSHOTS_ROW_SOURCE_HPP
#define WHENCE_SNAPSHOTS_ROW_SOURCE_HPP

#include <array>
#include <cstddef>
#include <cstdint>
#include <utility>

#include <whence/core/kinds.hpp>
#include <whence/core/profile.hpp>
#include <whence/snapshots/profile_header.hpp>
#include <whence/snapshots/rows.hpp>
#include <whence/snapshots/snapshot.hpp>
#include <whence/state/process_state.hpp>
#include <whence/sys/vector.hpp>
#include <whence/sys/work_check.hpp>
#include <whence/tables/bucket.hpp>

namespace whence::inline v1::snapshots {

// Which of a row's values a writer shows.
enum class shown_values : bool {
  scaled,
  recorded,  // Go's text format of heap profiles
};

// The values of a kind that Go's text format shows.
constexpr shown_values values_in_text(instruments::kind k) noexcept {
  return core::info(k).is_scaled ? shown_values::recorded : shown_values::scaled;
}

class row_source {
 public:
  row_source() = default;
  row_source(const row_source&) = delete;
  row_source& operator=(const row_source&) = delete;
  virtual ~row_source() = default;

  virtual const profile_header& header() const noexcept = 0;
  virtual std::size_t size() const noexcept = 0;
  virtual tables::frames stack(std::size_t i) const noexcept = 0;
  virtual std::int64_t value(std::size_t i, std::size_t which) const noexcept = 0;

  // Its stack, labels, type and number; its values are value(i, ...).
  virtual profile_row row(std::size_t i) const = 0;
};

// Requires: the snapshot outlives it.
class snapshot_rows final : public row_source {
 public:
  explicit snapshot_rows(const profile_snapshot& of, shown_values which = shown_values::scaled)
      : of_(of), which_(which) {}

  const profile_header& header() const noexcept override { return of_.header; }
  std::size_t size() const noexcept override { return of_.rows.size(); }
  tables::frames stack(std::size_t i) const noexcept override {
    const profile_row& r = of_.rows[i];
    return {r.stack.data(), r.stack.size(), r.truncated, r.leaf_is_ip};
  }
  std::int64_t value(std::size_t i, std::size_t which) const noexcept override {
    const profile_row& r = of_.rows[i];
    return which_ == shown_values::scaled ? r.values[which] : r.raw[which];
  }
  profile_row row(std::size_t i) const override { return of_.rows[i]; }

 private:
  const profile_snapshot& of_;
  const shown_values which_;
};

// The rows of a live profile that has buckets, with the values of one moment.
class live_rows final : public row_source {
 public:
  // Keeps the rows for which keep(const profile_row&) holds. Throws: std::bad_alloc, and as the
  // check.
  template <class Keep>
  live_rows(const state::process_state& s, const profile& p, shown_values which, Keep keep,
            sys::work_check check = {})
      : state_(s), header_(header_of(p, s)) {
    rows_.reserve(p.rows().size.load(std::memory_order_relaxed));
    const auto add = [&](const profile_row& r) {
      if (!keep(r)) return;
      rows_.push_back({&tables::bucket::of_pcs(r.stack.data()),
                       which == shown_values::scaled ? r.values : r.raw});
    };
    for_each_row(s, p, add, check);
  }

  const profile_header& header() const noexcept override { return header_; }
  std::size_t size() const noexcept override { return rows_.size(); }
  tables::frames stack(std::size_t i) const noexcept override { return rows_[i].bucket->stack(); }
  std::int64_t value(std::size_t i, std::size_t which) const noexcept override {
    return rows_[i].values[which];
  }
  profile_row row(std::size_t i) const override {
    profile_row r = row_of(header_.kind, *rows_[i].bucket, state_.labels);
    r.values = r.raw = rows_[i].values;
    return r;
  }

 private:
  struct item {
    const tables::bucket* bucket;
    std::array<std::int64_t, core::max_values> values;
  };

  const state::process_state& state_;
  const profile_header header_;
  sys::vector<item> rows_;
};

}  // namespace whence::inline v1::snapshots

#endif  // WHENCE_SNAPSHOTS_ROW_SOURCE_HPP
