// SPDX-License-Identifier: Apache-2.0
//
// The rows of a profile that are written alike, as one each, in the order of their stacks.
//
// Stacks of one program begin with the same dozens of addresses, so comparing two of them reads
// much, and far apart. The rows are therefore sorted by their first word, those that share it by
// the second, and so on (multikey quicksort: Bentley and Sedgewick, 1997); each keeps beside it the
// word that is sorted by. A million stacks take 16 MB and a third of a second.
#ifndef WHENCE_FORMAT_STACK_GROUPS_HPP
#define WHENCE_FORMAT_STACK_GROUPS_HPP

#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include <whence/snapshots/row_source.hpp>
#include <whence/sys/mix64.hpp>
#include <whence/sys/work_check.hpp>
#include <whence/tables/bucket.hpp>

namespace whence::inline v1::format {

template <class = void>
class basic_stack_groups {
 public:
  struct group {
    std::uint64_t word;   // that is sorted by; in the end, the sum
    std::uint32_t row;    // one of them
    std::uint32_t place;  // in the order of stacks
    std::int64_t sum() const noexcept { return static_cast<std::int64_t>(word); }
  };

  // Sums up the value `which`. Throws: std::bad_alloc, and as the check.
  basic_stack_groups(const snapshots::row_source& rows, std::size_t which, sys::work_check check)
      : rows_(rows), which_(which), check_(check), groups_(rows.size()) {
    for (std::uint32_t i = 0; i < groups_.size(); ++i) groups_[i].row = i;
    sort_all([this](range r) { sort_stacks(r); });
    groups_.resize(made_);
  }

  // The largest sum first; equal ones keep the order of their stacks. Throws: as the constructor.
  void sort_by_sum() {
    for (std::uint32_t i = 0; i < groups_.size(); ++i) groups_[i].place = i;
    sort_all([this](range r) {
      const range same = divide(r, [](const group& a, const group& b) {
        return a.sum() != b.sum() ? a.sum() > b.sum() : a.place < b.place;
      });
      if (r.end - same.end > 1) to_sort_.push_back({same.end, r.end});
      if (same.begin - r.begin > 1) to_sort_.push_back({r.begin, same.begin});
    });
  }

  std::size_t size() const noexcept { return groups_.size(); }
  auto begin() const noexcept { return groups_.begin(); }
  auto end() const noexcept { return groups_.end(); }

 private:
  struct range {
    std::size_t begin, end;
    std::size_t at = 0;  // its rows have the same words before
    bool has_words = false;
  };

  // The words of a row: its return addresses, 0 after them, and what else distinguishes it. Equal
  // sets of labels are one.
  std::uint64_t word(std::uint32_t row, std::size_t at) const {
    const tables::frames s = rows_.stack(row);
    if (at < s.depth) return s.pcs[at];
    if (at == s.depth) return 0;
    if (at == s.depth + 1) return s.truncated ? 1 : 0;
    return reinterpret_cast<std::uintptr_t>(rows_.row(row).labels.begin());
  }
  bool is_past_end(std::uint32_t row, std::size_t at) const {
    return at == rows_.stack(row).depth + 3;
  }

  // Ranges that are left to sort are kept so that the first comes next.
  template <class Sort>
  void sort_all(Sort sort) {
    if (!groups_.empty()) to_sort_.push_back({0, groups_.size()});
    while (!to_sort_.empty()) {
      const range next = to_sort_.back();
      to_sort_.pop_back();
      sort(next);
    }
  }

  void sort_stacks(range r) {
    if (r.end - r.begin == 1 || is_past_end(groups_[r.begin].row, r.at)) return add(r);
    if (!r.has_words) {
      for (std::size_t i = r.begin; i < r.end; ++i) {
        check_.step();
        groups_[i].word = word(groups_[i].row, r.at);
      }
    }
    const range same = divide(r, [](const group& a, const group& b) { return a.word < b.word; });
    if (same.end < r.end) to_sort_.push_back({same.end, r.end, r.at, true});
    to_sort_.push_back({same.begin, same.end, r.at + 1, false});
    if (r.begin < same.begin) to_sort_.push_back({r.begin, same.begin, r.at, true});
  }

  // Puts what is before one of the range before it, and what is after it behind. Returns the range
  // of those between. It chooses by a hash, for which no order of the rows is a bad one.
  template <class Before>
  range divide(range r, Before before) {
    const std::size_t size = r.end - r.begin;
    const group pivot =
        groups_[r.begin + static_cast<std::size_t>(sys::mix64(r.begin ^ size) % size)];
    range same = r;
    for (std::size_t i = r.begin; i < same.end;) {
      check_.step();
      if (before(groups_[i], pivot)) {
        std::swap(groups_[i++], groups_[same.begin++]);
      } else if (before(pivot, groups_[i])) {
        std::swap(groups_[i], groups_[--same.end]);
      } else {
        ++i;
      }
    }
    return same;
  }

  // Its place is not behind that of its rows.
  void add(range r) {
    std::int64_t sum = 0;
    for (std::size_t i = r.begin; i < r.end; ++i) sum += rows_.value(groups_[i].row, which_);
    groups_[made_++] = {static_cast<std::uint64_t>(sum), groups_[r.begin].row, 0};
  }

  const snapshots::row_source& rows_;
  const std::size_t which_;
  sys::work_check check_;
  std::vector<group> groups_;  // the first made_ are
  std::size_t made_ = 0;
  std::vector<range> to_sort_;
};
using stack_groups = basic_stack_groups<>;

}  // namespace whence::inline v1::format

#endif  // WHENCE_FORMAT_STACK_GROUPS_HPP
