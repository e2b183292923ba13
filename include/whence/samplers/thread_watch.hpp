// SPDX-License-Identifier: Apache-2.0
//
// When to look for new threads: every 10 ms, if anything in the system was started since the last
// look, and never for more than a fiftieth of a processor.
#ifndef WHENCE_SAMPLERS_THREAD_WATCH_HPP
#define WHENCE_SAMPLERS_THREAD_WATCH_HPP

#include <cstdint>

#include <whence/sys/clock.hpp>
#include <whence/sys/task_list.hpp>

namespace whence::inline v1::samplers {

class thread_watch {
 public:
  static constexpr std::int64_t interval_ns = 10'000'000;

  // Calls look() if it is time to, and sets when it will be. Requires: one caller at a time.
  template <class Look>
  void look(std::int64_t now_ns, Look look_now) noexcept {
    next_ns_ = now_ns + interval_ns;
    const std::int64_t newest = sys::newest_task();
    if (newest >= 0 && newest == newest_) return;
    // By the thread's own clock: it may have to wait for its processor, which is no cost.
    const std::int64_t begin = sys::clock_ns(CLOCK_THREAD_CPUTIME_ID);
    look_now();
    newest_ = newest;
    const std::int64_t rest = share * (sys::clock_ns(CLOCK_THREAD_CPUTIME_ID) - begin);
    if (rest > interval_ns) next_ns_ = now_ns + rest;
  }

  std::int64_t next_ns() const noexcept { return next_ns_; }

  void start_over() noexcept {
    newest_ = -1;
    next_ns_ = 0;
  }

 private:
  static constexpr std::int64_t share = 50;

  std::int64_t newest_ = -1;
  std::int64_t next_ns_ = 0;
};

}  // namespace whence::inline v1::samplers

#endif  // WHENCE_SAMPLERS_THREAD_WATCH_HPP
