// SPDX-License-Identifier: Apache-2.0
//
// What a sampler counted between two moments: an open window of its epochs, and the rows that it
// has so far. Rows are copies, because the stacks are freed with the window.
//
// Thread-safe, concurrent with recording. Not for signal handlers.
#ifndef WHENCE_SAMPLERS_WINDOW_HPP
#define WHENCE_SAMPLERS_WINDOW_HPP

#include <cstddef>
#include <cstdint>
#include <string>

#include <whence/core/counters.hpp>
#include <whence/core/kinds.hpp>
#include <whence/samplers/window_rows.hpp>
#include <whence/snapshots/snapshot.hpp>
#include <whence/sys/pages.hpp>
#include <whence/tables/bucket.hpp>
#include <whence/tables/label_sets.hpp>
#include <whence/tables/pseudo_frame.hpp>
#include <whence/tables/sample_epochs.hpp>

namespace whence::inline v1::samplers {

template <class = void>
class basic_window {
 public:
  explicit basic_window(tables::sample_epochs& epochs) noexcept
      : epochs_(epochs), is_open_(epochs_.open(window_)) {}
  ~basic_window() {
    if (is_open_) epochs_.close(window_);
  }
  basic_window(const basic_window&) = delete;
  basic_window& operator=(const basic_window&) = delete;

  // False if the kernel gave no memory.
  bool is_open() const noexcept { return is_open_; }

  // Leaves the window as it is: in a child of fork the epochs have forgotten it.
  void abandon() noexcept { is_open_ = false; }

  // Adds a row for each stack that was counted since the beginning, and a comment if some did not
  // fit. The rows count in `memory` as long as they live. Throws: std::bad_alloc.
  void add_to(profile_snapshot& p, instruments::kind k, const tables::label_sets& labels,
              sys::memory_budget& memory) const {
    basic_window_rows<> rows(k, labels, memory);
    std::int64_t lost = 0;
    epochs_.for_each(window_, [&](const tables::bucket& b) {
      const std::int64_t samples = b.counters[core::sample_counter].load(std::memory_order_relaxed);
      const std::int64_t time = b.counters[core::time_counter].load(std::memory_order_relaxed);
      if (samples == 0 && time == 0) return;
      if (b.overflow()) lost += samples;
      rows.add(b, samples, time);
    });
    rows.move_to(p);
    if (rows.without_room() > 0) {
      p.header.comments.push_back(std::to_string(rows.without_room()) +
                                  " samples are on [overflow] in this profile, because the rows of "
                                  "all that are read had filled their memory");
    }
    if (lost > 0) {
      p.header.comments.push_back(std::to_string(lost) +
                                  " samples of this window are on [overflow], because it had "
                                  "filled half of the memory for samples");
    }
  }

 private:
  tables::sample_epochs& epochs_;
  mutable tables::open_window window_;
  bool is_open_;
};
using window = basic_window<>;

// A row with one frame that is not code.
template <class = void>
inline profile_row pseudo_row(const std::uintptr_t& frame, std::int64_t time_ns) {
  profile_row row;
  row.stack = {&frame, 1};
  row.values[1] = time_ns;
  row.raw = row.values;
  return row;
}

}  // namespace whence::inline v1::samplers

#endif  // WHENCE_SAMPLERS_WINDOW_HPP
