// SPDX-License-Identifier: Apache-2.0
//
// SIGPROF for the calling thread alone, at random moments: a one-shot timer that the handler
// restarts with a random time, so that no loop of the load can keep step with it. The clock is
// CLOCK_MONOTONIC: a thread's CPU clock is checked only on the kernel's tick, some 250 times a
// second, always at the same places. Signal-safe after construction.
#ifndef WHENCE_TESTS_STRESS_THREAD_TIMER_HPP
#define WHENCE_TESTS_STRESS_THREAD_TIMER_HPP

#include <signal.h>
#include <time.h>
#include <unistd.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>

namespace stress {

// xorshift64: fast, repeatable, and random enough for choices.
class random_numbers {
 public:
  constexpr explicit random_numbers(std::uint64_t seed) noexcept : state_(seed * 2 + 1) {}
  std::uint64_t operator()() noexcept {
    state_ ^= state_ << 13;
    state_ ^= state_ >> 7;
    state_ ^= state_ << 17;
    return state_;
  }
  std::uint64_t below(std::uint64_t limit) noexcept { return (*this)() % limit; }

 private:
  std::uint64_t state_;
};

class thread_timer {
 public:
  // `mean_us`: microseconds from the end of one signal to the next, on average.
  explicit thread_timer(long mean_us) noexcept : mean_us_(mean_us) {
    sigevent event{};
    event.sigev_notify = SIGEV_THREAD_ID;
    event.sigev_signo = SIGPROF;
#ifdef sigev_notify_thread_id
    event.sigev_notify_thread_id = ::gettid();
#else
    event._sigev_un._tid = ::gettid();
#endif
    if (::timer_create(CLOCK_MONOTONIC, &event, &timer_) != 0) {
      std::perror("timer_create");
      std::exit(2);
    }
  }
  ~thread_timer() {
    ::timer_delete(timer_);
  }
  thread_timer(const thread_timer&) = delete;
  thread_timer& operator=(const thread_timer&) = delete;

  // The next signal comes some time from now.
  void wind_up() noexcept {
    itimerspec when{};
    const auto mean = static_cast<std::uint64_t>(mean_us_);
    when.it_value.tv_nsec = static_cast<long>(mean / 2 + random_.below(mean)) * 1000;
    ::timer_settime(timer_, 0, &when, nullptr);
  }
  void stop() noexcept {
    const itimerspec never{};
    ::timer_settime(timer_, 0, &never, nullptr);
  }

 private:
  long mean_us_;
  timer_t timer_{};
  random_numbers random_{static_cast<std::uint64_t>(::gettid())};
};

}  // namespace stress

#endif  // WHENCE_TESTS_STRESS_THREAD_TIMER_HPP
