// SPDX-License-Identifier: Apache-2.0
//
// When to look for new threads: after each interval if any thread in the system has started since
// the last look; at least once a second, since sandboxes hide starts; and never for more than a
// given part of a processor.
#ifndef WHENCE_SAMPLERS_NEW_THREAD_POLL_HPP
#define WHENCE_SAMPLERS_NEW_THREAD_POLL_HPP

#include <cstdint>

#include <whence/sys/clock.hpp>
#include <whence/sys/proc_task.hpp>

namespace whence::inline v1::samplers {

template <class = void>
class basic_thread_watch {
 public:
  // Looks take at most 1 / `part` of a processor.
  basic_thread_watch(std::int64_t interval_ns, int part) noexcept
      : interval_ns_(interval_ns), part_(part) {}

  // Calls look() if it is due, and sets the next time. Requires: one caller at a time.
  template <class Look>
  void look(std::int64_t now_ns, Look look_now) noexcept {
    next_ns_ = now_ns + interval_ns_;
    const std::int64_t newest = sys::newest_task();
    if (newest > 0 && newest == newest_ && now_ns - looked_ns_ < longest_ns) return;
    looked_ns_ = now_ns;
    // Measured by the thread's own clock: the time it waits for a processor is no cost.
    const std::int64_t begin = sys::clock_ns(CLOCK_THREAD_CPUTIME_ID);
    look_now();
    newest_ = newest;
    const std::int64_t rest = part_ * (sys::clock_ns(CLOCK_THREAD_CPUTIME_ID) - begin);
    if (rest > interval_ns_) next_ns_ = now_ns + rest;
  }

  std::int64_t next_ns() const noexcept { return next_ns_; }

  void start_over() noexcept {
    newest_ = -1;
    next_ns_ = 0;
  }

 private:
  static constexpr std::int64_t longest_ns = 1'000'000'000;

  std::int64_t interval_ns_;
  int part_;
  std::int64_t newest_ = -1;
  std::int64_t next_ns_ = 0;
  std::int64_t looked_ns_ = 0;
};
using new_thread_poll = basic_thread_watch<>;

}  // namespace whence::inline v1::samplers

#endif  // WHENCE_SAMPLERS_NEW_THREAD_POLL_HPP
