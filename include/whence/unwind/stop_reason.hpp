// SPDX-License-Identifier: Apache-2.0
//
// Why walks end, counted by cause. Only those that end before the root are counted, and rules that
// had to be read from call-frame information: a walk that goes well touches no counter.
// Signal-safe. Lock-free.
#ifndef WHENCE_UNWIND_STOP_REASON_HPP
#define WHENCE_UNWIND_STOP_REASON_HPP

#include <atomic>
#include <cstdint>

namespace whence::inline v1::unwind {

enum class stop_reason : unsigned char {
  root,           // the outermost frame: main's caller, the start of a thread or context
  enough,         // as many frames as there was room for
  outside_stack,  // the next frame would not lie on the stack
  not_code,       // the return address is not code
  damaged,        // call-frame information that contradicts itself or is not supported
};
inline constexpr int stop_reason_count = 5;

inline constexpr const char* stop_reason_texts[stop_reason_count] = {
    "stacks reach their root",
    "stacks cut at the depth limit",
    "stacks end early: the next frame is outside the stack",
    "stacks end early: a return address is not code",
    "stacks end early: call-frame information that cannot be used",
};

class walk_counts {
 public:
  void ended(stop_reason end) noexcept {
    if (end == stop_reason::root || end == stop_reason::enough) [[likely]]
      return;
    ends_[static_cast<int>(end)].fetch_add(1, std::memory_order_relaxed);
  }
  void missed() noexcept { misses_.fetch_add(1, std::memory_order_relaxed); }

  std::int64_t of(stop_reason end) const noexcept {
    return ends_[static_cast<int>(end)].load(std::memory_order_relaxed);
  }
  // How often the cache had no rule, so call-frame information was read.
  std::int64_t misses() const noexcept { return misses_.load(std::memory_order_relaxed); }

 private:
  std::atomic<std::int64_t> ends_[stop_reason_count]{};
  std::atomic<std::int64_t> misses_{0};
};

}  // namespace whence::inline v1::unwind

#endif  // WHENCE_UNWIND_STOP_REASON_HPP
