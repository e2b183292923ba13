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
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <whence/core/counters.hpp>
#include <whence/core/kinds.hpp>
#include <whence/snapshots/rows.hpp>
#include <whence/snapshots/snapshot.hpp>
#include <whence/sys/flat_index.hpp>
#include <whence/sys/vector.hpp>
#include <whence/tables/bucket.hpp>
#include <whence/tables/epochs.hpp>
#include <whence/tables/hash.hpp>
#include <whence/tables/label_sets.hpp>
#include <whence/tables/pseudo_frame.hpp>

namespace whence::inline v1::samplers {

template <class = void>
class basic_window {
 public:
  explicit basic_window(tables::epochs& epochs) noexcept
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
  // fit. Throws: std::bad_alloc.
  void add_to(profile_snapshot& p, instruments::kind k, const tables::label_sets& labels) const {
    auto frames = std::make_shared<std::vector<std::uintptr_t>>();
    known_rows known;
    std::int64_t lost = 0;
    epochs_.for_each(window_, [&](const tables::bucket& b) {
      const std::int64_t samples = b.counters[core::sample_counter].load(std::memory_order_relaxed);
      const std::int64_t time = b.counters[core::time_counter].load(std::memory_order_relaxed);
      if (samples == 0 && time == 0) return;
      if (b.overflow()) lost += samples;
      std::uint32_t at = known.find(b);
      if (at == sys::flat_index::none) {
        at = known.add(b, frames->size());
        p.rows.push_back(snapshots::row_of(k, b, labels));
        p.rows.back().values = {};
        for (std::size_t i = 0; i < b.depth(); ++i) frames->push_back(b.pcs()[i]);
      }
      p.rows[at].values[0] += samples;
      p.rows[at].values[1] += time;
    });
    for (std::size_t i = 0; i < p.rows.size(); ++i) {
      profile_row& row = p.rows[i];
      row.stack = {frames->data() + known.rows[i].first_frame, row.stack.size()};
      row.raw = row.values;
    }
    p.memory = std::move(frames);
    if (lost > 0) {
      p.header.comments.push_back(std::to_string(lost) +
                                  " samples of this window are on [overflow], because it had "
                                  "filled half of the memory for samples");
    }
  }

 private:
  // The rows by the stack that they are of: epochs have the same one twice.
  struct known_rows {
    struct row {
      tables::hash128 identity;
      std::size_t first_frame;
    };
    sys::vector<row> rows;
    sys::flat_index index;

    std::uint32_t find(const tables::bucket& b) const {
      return index.find(b.identity.low,
                        [&](std::uint32_t i) { return rows[i].identity == b.identity; });
    }
    std::uint32_t add(const tables::bucket& b, std::size_t first_frame) {
      const auto at = static_cast<std::uint32_t>(rows.size());
      index.insert(b.identity.low, at);
      rows.push_back({b.identity, first_frame});
      return at;
    }
  };

  tables::epochs& epochs_;
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

inline constexpr std::uintptr_t unsampled_frame = tables::pseudo::unsampled;
inline constexpr std::uintptr_t profiler_frame = tables::pseudo::profiler;

}  // namespace whence::inline v1::samplers

#endif  // WHENCE_SAMPLERS_WINDOW_HPP
