// SPDX-License-Identifier: Apache-2.0
//
// How one thread's CPU time is sampled, and how much time one signal stands for.
//
//   asked for       sources                        a signal of the timer          of the counter
//   up to the tick  timer, 1/hz                    1/hz x (1 + overruns)          -
//   above it        timer, 1/hz                    1/hz x (1 + overruns)          -
//   the same,       timer, a tick                  a tick x (1 + overruns), if    1/hz
//   with a counter  counter, 1/hz                  it came in a system call,
//                                                  else nothing; see below
//
// Overruns are the expiries that fell between two ticks of the kernel: they make totals true at any
// rate. A counter sees the thread's own code alone, so the total is true together with a timer that
// sees system calls; neither sees the time of page faults, which ends as [unsampled].
//
// If threads compete for a processor, a thread may run for a second and never at a tick: its
// timer's next signal then stands for all of it, although the counter has already seen the thread's
// own code. So a signal for more than a tick stands for no more than the time still unexplained.
//
// The kernel tells of an expiry at its next tick. In a thread that goes on, that only moves time
// from one signal to the next, but one of 2 ms mostly ends before that tick. So a thread's first
// tick stands for a tick's time, whenever it comes (arm_new), and what has expired by then does not
// count.
//
// A thread that blocks SIGPROF has no source: its sigwait or signalfd would be given the signal.
#ifndef WHENCE_SAMPLERS_CPU_THREAD_HPP
#define WHENCE_SAMPLERS_CPU_THREAD_HPP

#include <sys/types.h>

#include <atomic>
#include <cstddef>
#include <cstdint>

#include <whence/samplers/perf_counter.hpp>
#include <whence/samplers/profiling_signal.hpp>
#include <whence/sys/clock.hpp>
#include <whence/sys/random.hpp>
#include <whence/sys/signal_mask.hpp>
#include <whence/sys/thread_timer.hpp>

namespace whence::inline v1::samplers {

// The rates and sources for all threads.
struct cpu_rate {
  std::int64_t period_ns = 0;
  std::int64_t tick_ns = 0;

  bool above_tick() const noexcept { return period_ns < tick_ns; }

  // For ITIMER_PROF, which does not tell how often it has expired since its last signal.
  std::int64_t longer_of_period_and_tick() const noexcept {
    return above_tick() ? tick_ns : period_ns;
  }
};

// A little less than `ns`, because a loop of exactly that length would always be sampled at the
// same place, and the kernel delivers some 2 % of a counter's signals late.
inline std::int64_t out_of_step(std::int64_t ns) noexcept {
  return static_cast<std::int64_t>(static_cast<double>(ns) * (0.985 - 0.025 * sys::uniform()));
}

struct cpu_thread {
  std::atomic<::pid_t> tid{0};
  std::atomic<int> timer{sys::no_timer};
  std::atomic<int> counter{no_counter};
  std::atomic<int> in_handler{0};
  std::atomic<std::int64_t> timer_ns{0};     // one expiry
  std::atomic<std::int64_t> counter_ns{0};   // one overflow
  std::atomic<std::int64_t> missed_ns{0};    // CPU time before its first look
  std::atomic<std::int64_t> first_by_ns{0};  // its CPU time by which its first tick comes, or 0
  std::atomic<std::int64_t> first_ns{0};     // what a signal at that tick stands for
  // With a counter: the thread's CPU time when it was opened, and what samples stand for since
  // then.
  std::atomic<std::int64_t> counted_from_ns{0};
  std::atomic<std::int64_t> explained_ns{0};
  std::uintptr_t* pcs = nullptr;  // a buffer, since the handler has little stack
  std::size_t capacity = 0;
  std::int64_t last_cpu_ns = 0;
  std::int64_t asked_cpu_ns = 0;  // its CPU time when its mask was last looked at
  sys::mask_history mask;
  std::uint32_t seen = 0;
  int blocked_looks = 0;                         // looks in a row that found SIGPROF blocked
  int closed_looks = 0;                          // how many must find it unblocked first
  sys::signal_use use = sys::signal_use::takes;  // of SIGPROF; without it there are no sources
  bool is_main = false;
  bool began_late = false;                    // its time so far is to be sampled
  std::atomic<bool> has_answered{false};      // since its mask was last looked at
  std::atomic<bool> counter_is_fresh{false};  // before its first overflow

  bool is_free() const noexcept { return tid.load() == 0 && in_handler.load() == 0; }

  bool is_timed() const noexcept { return timer.load(std::memory_order_relaxed) != sys::no_timer; }
  bool is_counted() const noexcept { return counter.load(std::memory_order_relaxed) != no_counter; }

  bool takes_signal() const noexcept { return use == sys::signal_use::takes; }

  // Sets the sources up, unless the thread blocks SIGPROF: a timer if it may have one, a counter if
  // `numbers` is not null. `is_new`: the thread began since the last look, so all its CPU time is
  // to be sampled. False if the kernel refuses a timer. Requires: tid is set.
  bool begin(cpu_rate rate, bool is_new, bool may_have_timer, perf_fds* numbers) noexcept {
    const ::pid_t id = tid.load(std::memory_order_relaxed);
    missed_ns.store(0, std::memory_order_relaxed);
    asked_cpu_ns = sys::thread_cpu_ns(id);
    has_answered.store(false, std::memory_order_relaxed);
    mask = {};
    use = sys::use_of_signal(id, profiling_signal_number, mask);
    blocked_looks = use == sys::signal_use::blocks ? 1 : 0;
    closed_looks = 1;
    began_late = is_new && !takes_signal();
    return !takes_signal() || set_up(rate, is_new, may_have_timer, numbers);
  }

  // True if it is time to look at its mask again: it has had signals and not answered, or it had
  // none and has run since.
  bool is_mask_doubtful(cpu_rate rate) const noexcept {
    if (has_answered.load(std::memory_order_relaxed)) return false;
    const std::int64_t ran = sys::thread_cpu_ns(tid.load(std::memory_order_relaxed)) - asked_cpu_ns;
    switch (use) {
      case sys::signal_use::takes:
        return ran > rate.longer_of_period_and_tick() + 2 * rate.tick_ns;
      case sys::signal_use::blocks:
        return blocked_looks < short_blocks || ran > blocked_look_ns;
      default:
        return ran > 0;
    }
  }

  // Looks at its mask, and takes its sources away or gives them back. False if the kernel refuses a
  // timer.
  bool look_at_mask(cpu_rate rate, bool may_have_timer, perf_fds* numbers) noexcept {
    const ::pid_t id = tid.load(std::memory_order_relaxed);
    asked_cpu_ns = sys::thread_cpu_ns(id);
    const sys::signal_use now = sys::use_of_signal(id, profiling_signal_number, mask);
    if (takes_signal()) {
      if (now != sys::signal_use::blocks) return true;
      end();
      use = now;
      blocked_looks = 1;
      closed_looks = 1;
      began_late = false;
      return true;
    }
    if (now == sys::signal_use::blocks) {
      if (blocked_looks < short_blocks) ++blocked_looks;
      closed_looks = blocked_looks;
      began_late = began_late && blocked_looks < short_blocks;
    }
    use = now == sys::signal_use::takes && --closed_looks > 0 ? sys::signal_use::hidden : now;
    return !takes_signal() || set_up(rate, began_late, may_have_timer, numbers);
  }

  void change(cpu_rate rate, perf_fds* numbers) noexcept {
    if (!takes_signal()) return;
    close_counter();
    open_counter(rate, numbers);
    arm(rate, 0);
  }

  void end() noexcept {
    close_counter();
    const int id = timer.exchange(sys::no_timer);
    if (id != sys::no_timer) sys::delete_timer(id);
  }

  // Called in the thread's handler: what a signal of its timer stands for.
  std::int64_t expired(std::int64_t times) noexcept {
    const std::int64_t by = first_by_ns.exchange(0, std::memory_order_relaxed);
    if (by != 0 && sys::clock_ns(CLOCK_THREAD_CPUTIME_ID) < by) {
      return first_ns.load(std::memory_order_relaxed);
    }
    return times * timer_ns.load(std::memory_order_relaxed);
  }

  // Called in the thread's handler: what a timer's signal in a system call stands for.
  std::int64_t left_of(std::int64_t ns) const noexcept {
    const std::int64_t one = timer_ns.load(std::memory_order_relaxed);
    if (ns <= one) return ns;
    const std::int64_t used =
        sys::clock_ns(CLOCK_THREAD_CPUTIME_ID) - counted_from_ns.load(std::memory_order_relaxed);
    const std::int64_t left = used - explained_ns.load(std::memory_order_relaxed);
    return left < one ? one : left < ns ? left : ns;
  }

  void close_counter() noexcept {
    // The order matters: a child of fork that finds the number must close no other file.
    const int open = counter.exchange(no_counter, std::memory_order_relaxed);
    const ::pid_t id = tid.load(std::memory_order_relaxed);
    if (is_counter_of(open, id, profiling_signal_number)) samplers::close_counter(open);
  }

 private:
  static constexpr std::int64_t longest_missed = 25'000'000;
  static constexpr std::int64_t blocked_look_ns = 100'000'000;
  // libc blocks all signals for a moment in a thread that begins, and in one that begins another.
  static constexpr int short_blocks = sys::enough_open_looks;

  bool set_up(cpu_rate rate, bool is_new, bool may_have_timer, perf_fds* numbers) noexcept {
    const ::pid_t id = tid.load(std::memory_order_relaxed);
    bool starved = !may_have_timer;
    if (may_have_timer) {
      timer.store(sys::make_thread_timer(id, profiling_signal_number, this, starved));
    }
    open_counter(rate, numbers);
    const std::int64_t used_ns = is_new ? sys::thread_cpu_ns(id) : 0;
    is_new&& used_ns < rate.tick_ns ? arm_new(rate, used_ns) : arm(rate, used_ns);
    return !starved;
  }

  void open_counter(cpu_rate rate, perf_fds* numbers) noexcept {
    if (numbers == nullptr || !rate.above_tick()) return;
    const std::int64_t period = out_of_step(rate.period_ns);
    counter_ns.store(period, std::memory_order_relaxed);
    // The first overflow comes at a random moment of the first period, as in arm().
    const auto first = static_cast<std::int64_t>(sys::uniform() * static_cast<double>(period));
    counted_from_ns.store(sys::thread_cpu_ns(tid.load(std::memory_order_relaxed)),
                          std::memory_order_relaxed);
    explained_ns.store(0, std::memory_order_relaxed);
    const int open =
        samplers::open_counter(tid.load(std::memory_order_relaxed), profiling_signal_number, first);
    if (open == no_counter) return;
    // The number must be known before its first signal.
    const bool known = numbers->add(open);
    counter_is_fresh.store(true, std::memory_order_relaxed);
    counter.store(open, std::memory_order_release);
    if (!known || !enable_counter(open)) close_counter();
  }

  // `used_ns` is the thread's CPU time that samples should already have covered. The first expiry
  // comes at a random moment of the first period, so that short threads are seen in proportion.
  // (Go: runtime/os_linux.go, setThreadCPUProfiler)
  void arm(cpu_rate rate, std::int64_t used_ns) noexcept {
    const int id = timer.load(std::memory_order_relaxed);
    if (id == sys::no_timer) return;
    const std::int64_t period = timer_period(rate);
    timer_ns.store(period, std::memory_order_relaxed);
    first_by_ns.store(0, std::memory_order_relaxed);
    std::int64_t first = random_below(period);
    if (used_ns >= first) {
      const std::int64_t missed = 1 + (used_ns - first) / period;
      first += missed * period;
      // Time from before the last look or two says nothing about where the thread was.
      if (used_ns < longest_missed) missed_ns.store(missed * period, std::memory_order_relaxed);
    }
    sys::arm_timer(id, first - used_ns, period);
  }

  // The same for a thread that has just begun: it has a sample at its first tick with the
  // probability tick / period, which stands for a period, or for a tick if that is longer. If it
  // has one, its period is made shorter by up to a tick, because its next expiry must not always
  // come at the same CPU time.
  void arm_new(cpu_rate rate, std::int64_t used_ns) noexcept {
    const int id = timer.load(std::memory_order_relaxed);
    if (id == sys::no_timer) return;
    std::int64_t period = timer_period(rate);
    const std::int64_t first = random_below(period) - rate.tick_ns;
    first_ns.store(first >= 0              ? 0
                   : period > rate.tick_ns ? period
                                           : rate.tick_ns,
                   std::memory_order_relaxed);
    first_by_ns.store(rate.tick_ns, std::memory_order_relaxed);
    if (first < 0 && period > rate.tick_ns) {
      period -= random_below(rate.tick_ns < period / 2 ? rate.tick_ns : period / 2);
    }
    timer_ns.store(period, std::memory_order_relaxed);
    sys::arm_timer(id, first - used_ns, period);
  }

  std::int64_t timer_period(cpu_rate rate) const noexcept {
    return out_of_step(is_counted() ? rate.tick_ns : rate.period_ns);
  }

  static std::int64_t random_below(std::int64_t limit) noexcept {
    return static_cast<std::int64_t>(sys::uniform() * static_cast<double>(limit));
  }
};

}  // namespace whence::inline v1::samplers

#endif  // WHENCE_SAMPLERS_CPU_THREAD_HPP
