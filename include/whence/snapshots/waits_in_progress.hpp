// SPDX-License-Identifier: Apache-2.0
//
// What waits in progress add to the rows of a `block` profile.
//
// A wait counts from the moment it has lasted for its rate: from then on it is certain to be
// recorded as one contention and its whole length, so what one snapshot shows stays in the next.
// Only what turns out not to be a wait is taken back: one that ends by an exception, a coroutine
// that does not suspend after all, and one whose callee tells only then that it is awaited.
#ifndef WHENCE_SNAPSHOTS_WAITS_IN_PROGRESS_HPP
#define WHENCE_SNAPSHOTS_WAITS_IN_PROGRESS_HPP

#include <cstddef>
#include <cstdint>

#include <whence/core/counters.hpp>
#include <whence/snapshots/snapshot.hpp>
#include <whence/state/guest.hpp>
#include <whence/state/process_state.hpp>
#include <whence/sys/algorithms.hpp>
#include <whence/sys/clock.hpp>
#include <whence/sys/nap.hpp>
#include <whence/sys/vector.hpp>
#include <whence/tables/bucket.hpp>
#include <whence/tables/wait_slots.hpp>

namespace whence::inline v1::snapshots {

template <class = void>
class basic_waits_in_progress {
 public:
  // Throws: std::bad_alloc.
  explicit basic_waits_in_progress(const state::process_state& s) {
    const tables::wait_slots* const slots = s.waits.load(std::memory_order_acquire);
    if (slots != nullptr) slots->for_each(*this);
    s.guests.call(&state::guest::add_waits, s, *this);
    sys::sort(waits_, [](const item& a, const item& b) { return a.bucket < b.bucket; });
  }

  // Adds one wait; called while this object is made. Throws: std::bad_alloc.
  void operator()(const tables::wait_slot& slot, std::uint32_t sequence,
                  const tables::wait_in_progress& w) {
    const std::int64_t length = now_ns_ - w.since_ns;
    if (w.bucket == nullptr || length < w.rate_ns || length <= 0) return;
    waits_.push_back({w.bucket, &slot, sequence, length});
  }

  // Reads a bucket by `read`, which returns its row (counters by acquire), and adds the waits in
  // progress. A wait that ends meanwhile counts exactly once, in the row or added to it: if one has
  // changed its state, the bucket is read again. That happens twice for each wait at most, except
  // while a thread is between two states: if it does not run for most_naps then, its wait is left
  // out once.
  template <class Read>
  profile_row row(const tables::bucket& b, Read read) const {
    const std::size_t first =
        sys::first_after(waits_, [&b](const item& w) { return w.bucket >= &b; });
    std::size_t last = first;
    while (last < waits_.size() && waits_[last].bucket == &b) ++last;
    for (int naps = 0;;) {
      const totals before = going_on(first, last);
      profile_row row = read();
      const totals after = going_on(first, last);
      if (before == after && (!after.counting || naps == most_naps)) {
        row.values[core::contention_counter] += after.count;
        row.values[core::delay_counter] += after.length_ns;
        return row;
      }
      if (after.counting && naps < most_naps) {
        ++naps;
        sys::nap();
      }
    }
  }

 private:
  struct item {
    const tables::bucket* bucket;
    const tables::wait_slot* slot;
    std::uint32_t sequence;
    std::int64_t length_ns;
  };
  struct totals {
    std::int64_t count = 0;
    std::int64_t length_ns = 0;
    bool counting = false;  // true if one is being counted
    friend bool operator==(const totals&, const totals&) = default;
  };

  static constexpr int most_naps = 1000;  // some 70 ms

  totals going_on(std::size_t first, std::size_t last) const {
    totals t;
    for (std::size_t i = first; i < last; ++i) {
      const item& w = waits_[i];
      const std::uint32_t since = w.slot->sequence.load(std::memory_order_acquire) - w.sequence;
      if (since == 0) {
        ++t.count;
        t.length_ns += w.length_ns;
      }
      t.counting =
          t.counting || since == tables::wait_slot::is_counted - tables::wait_slot::goes_on;
    }
    return t;
  }

  std::int64_t now_ns_ = sys::monotonic_ns();
  sys::vector<item> waits_;
};
using waits_in_progress = basic_waits_in_progress<>;

}  // namespace whence::inline v1::snapshots

#endif  // WHENCE_SNAPSHOTS_WAITS_IN_PROGRESS_HPP
