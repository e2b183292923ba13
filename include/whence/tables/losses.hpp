// SPDX-License-Identifier: Apache-2.0
//
// Counts what was lost by cause; the comments of every profile show the counts. Signal-safe.
#ifndef WHENCE_TABLES_LOSSES_HPP
#define WHENCE_TABLES_LOSSES_HPP

#include <atomic>
#include <cstdint>

namespace whence::inline v1::tables {

enum class loss : unsigned char {
  overflow,        // counted, but on the [overflow] stack: permanent stacks have filled their share
  samples,         // the same of CPU and wall-clock samples: their window has filled its part
  dropped,         // not counted at all: the kernel gave no memory even for [overflow]
  untracked_live,  // an allocation or value whose end cannot be seen: its share is full
  truncated,       // new stacks deeper than the limit: their root end is cut off
  labels,          // label sets without room: their events carry the labels [overflow]
  passing_labels,  // label values beyond the limits that samples do not show either
  types,           // names of types without room: their blocks have the type [overflow]
  unseen_ends,     // blocks that a plugin which binds deeply freed, or the allocator itself
};
inline constexpr int loss_count = 9;

inline constexpr const char* loss_texts[loss_count] = {
    "events charged to [overflow] because stacks had filled their share of the memory limit",
    "samples charged to [overflow] because their window had filled half of the memory for samples",
    "events dropped because the kernel gave no memory",
    "live entries not tracked because they had filled their share of the memory limit",
    "stacks cut at the depth limit",
    "label sets were not kept, because they had filled their share of the memory limit",
    "label values are [other] in samples, too, because there was no room for more of them",
    "blocks have the type [overflow]: too many types, or stacks had filled their share",
    "blocks were freed unseen, and counted as in use until their memory came again",
};

class losses {
 public:
  void count(loss cause, std::int64_t times = 1) noexcept {
    counters_[static_cast<int>(cause)].fetch_add(times, std::memory_order_relaxed);
  }
  std::int64_t of(loss cause) const noexcept {
    return counters_[static_cast<int>(cause)].load(std::memory_order_relaxed);
  }
  bool any() const noexcept {
    for (const auto& counter : counters_) {
      if (counter.load(std::memory_order_relaxed) != 0) return true;
    }
    return false;
  }

 private:
  std::atomic<std::int64_t> counters_[loss_count]{};
};

}  // namespace whence::inline v1::tables

#endif  // WHENCE_TABLES_LOSSES_HPP
