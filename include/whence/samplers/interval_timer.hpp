// SPDX-License-Identifier: Apache-2.0
//
// The process's one interval timer, ITIMER_PROF, for threads that can have no timer of their own. A
// program that uses it keeps it.
#ifndef WHENCE_SAMPLERS_INTERVAL_TIMER_HPP
#define WHENCE_SAMPLERS_INTERVAL_TIMER_HPP

#include <sys/time.h>

#include <atomic>
#include <cstdint>

namespace whence::inline v1::samplers {

class interval_timer {
 public:
  // 0 if it is not ours. Signal-safe.
  std::int64_t period_ns() const noexcept { return period_ns_.load(std::memory_order_relaxed); }

  // Requires: one caller at a time; so does stop().
  void set(std::int64_t period_ns) noexcept {
    if (this->period_ns() == 0 && is_armed(now())) return;
    period_ns_.store(period_ns, std::memory_order_relaxed);
    interval_.tv_sec = static_cast<time_t>(period_ns / 1'000'000'000);
    interval_.tv_usec = static_cast<suseconds_t>(period_ns / 1000 % 1'000'000);
    const ::itimerval when{interval_, interval_};
    ::setitimer(ITIMER_PROF, &when, nullptr);
  }

  void stop() noexcept {
    if (period_ns_.exchange(0, std::memory_order_relaxed) == 0) return;
    const ::itimerval found = now();
    const bool ours = found.it_interval.tv_sec == interval_.tv_sec &&
                      found.it_interval.tv_usec == interval_.tv_usec;
    const ::itimerval off{};
    if (ours) ::setitimer(ITIMER_PROF, &off, nullptr);
  }

 private:
  static ::itimerval now() noexcept {
    ::itimerval result{};
    ::getitimer(ITIMER_PROF, &result);
    return result;
  }
  static bool is_armed(const ::itimerval& t) noexcept {
    return t.it_value.tv_sec != 0 || t.it_value.tv_usec != 0;
  }

  std::atomic<std::int64_t> period_ns_{0};
  ::timeval interval_{};
};

}  // namespace whence::inline v1::samplers

#endif  // WHENCE_SAMPLERS_INTERVAL_TIMER_HPP
