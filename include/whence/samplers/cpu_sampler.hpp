// SPDX-License-Identifier: Apache-2.0
//
// The process's one sampler of CPU time, shared by all sessions. It runs while a session exists, at
// the highest rate, and its counts only grow; a session is the difference of two moments.
//
//   thread of the program    its timer expires ─> SIGPROF ─> handle_signal(): stack, labels ─>
//   bucket thread of the sampler    looks for new and ended threads
//
// If every thread tells of its birth, since pthread_create is ours, there is no thread of the
// sampler: those that begin, and those that have a block sampled, do its work (tend).
//
// Locks: `control_` is held while sessions begin and end, `entries_` while entries change; a
// handler never holds either. A child of fork abandons the sampler as it is and makes another.
#ifndef WHENCE_SAMPLERS_CPU_SAMPLER_HPP
#define WHENCE_SAMPLERS_CPU_SAMPLER_HPP

#include <unistd.h>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <new>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include <whence/core/counters.hpp>
#include <whence/samplers/cpu_comments.hpp>
#include <whence/samplers/cpu_thread.hpp>
#include <whence/samplers/fork_rules.hpp>
#include <whence/samplers/interval_timer.hpp>
#include <whence/samplers/library_threads.hpp>
#include <whence/samplers/new_thread_poll.hpp>
#include <whence/samplers/perf_counter.hpp>
#include <whence/samplers/profiling_signal.hpp>
#include <whence/samplers/requested_rates.hpp>
#include <whence/samplers/sample_labels.hpp>
#include <whence/samplers/session.hpp>
#include <whence/samplers/thread_table.hpp>
#include <whence/samplers/window.hpp>
#include <whence/state/attach.hpp>
#include <whence/state/process_state.hpp>
#include <whence/state/thread_labels.hpp>
#include <whence/sys/cancel_guard.hpp>
#include <whence/sys/clock.hpp>
#include <whence/sys/futex_mutex.hpp>
#include <whence/sys/guard.hpp>
#include <whence/sys/publish_once.hpp>
#include <whence/sys/service_thread.hpp>
#include <whence/sys/stack_headroom.hpp>
#include <whence/sys/syscall_filter.hpp>
#include <whence/sys/thread_local.hpp>
#include <whence/tables/bucket.hpp>
#include <whence/tables/pseudo_frame.hpp>
#include <whence/tables/sample_epochs.hpp>
#include <whence/unwind/capture.hpp>
#include <whence/unwind/code.hpp>
#include <whence/unwind/modules/unloadable_keys.hpp>

namespace whence::inline v1::samplers {

// This thread's entry, as its last signal found it.
WHENCE_THREAD_LOCAL cpu_thread* cpu_thread_here{nullptr};

class cpu_sampler {
 public:
  explicit cpu_sampler(state::process_state& s) noexcept : state_(s), threads_{s.arena} {}

  // The sampler of the process; nullptr if memory is exhausted.
  static cpu_sampler* get(state::process_state& s) noexcept {
    enter(s);
    return sys::publish_once(s.arena, s.samplers.cpu_sampler, s);
  }

  static constexpr instruments::kind kind = instruments::kind::cpu;
  static tables::sample_epochs& epochs(state::process_state& s) noexcept { return s.samplers.cpu; }
  static bool is_current(const state::process_state& s, const cpu_sampler* it) noexcept {
    return s.samplers.cpu_sampler.load(std::memory_order_acquire) == it &&
           s.samplers.process.load(std::memory_order_relaxed) == ::getpid();
  }

  std::error_code begin(rate_request& w) noexcept {
    const sys::guard hold(control_);
    const bool first = requests_.empty();
    requests_.add(w);
    if (!first) {
      change_rate();
    } else if (const std::error_code error = start()) {
      requests_.remove(w);
      return error;
    }
    return {};
  }

  void end(rate_request& w) noexcept {
    const sys::guard hold(control_);
    requests_.remove(w);
    requests_.empty() ? stop() : change_rate();
  }

  static void settle() noexcept {}  // every sample is counted as it is taken

  // Adds what the samples do not explain, and how they were taken.
  void complete(profile_snapshot& p, const moment& from, const moment& to,
                const rate_request& asked) {
    std::int64_t unexplained = to.process_ns - from.process_ns;
    const auto add = [&](const std::uintptr_t& frame, std::int64_t ns) {
      if (ns > 0) p.rows.push_back(pseudo_row(frame, ns));
    };
    for (const profile_row& row : p.rows) unexplained -= row.values[1];
    add(tables::pseudo::profiler, to.own_ns - from.own_ns);
    add(tables::pseudo::unsampled, unexplained - (to.own_ns - from.own_ns));
    add_comments(p.header.comments, conditions(asked.hz));
  }

  // Called now and then in a thread of the program. Does nothing if another thread is at it.
  static void tend(state::process_state& s) noexcept {
    cpu_sampler* const me = s.samplers.cpu_sampler.load(std::memory_order_acquire);
    if (me == nullptr || !me->active_.load(std::memory_order_relaxed)) return;
    const sys::cancel_guard uncancelled;
    if (!me->entries_.try_lock()) return;
    me->tend_here();
    me->entries_.unlock();
  }

  // Called before exec, whose new program a signal still pending would kill: takes all sources
  // away. Sessions count nothing until resume(), which is for an exec that failed.
  static void pause(state::process_state& s) noexcept {
    cpu_sampler* const me = s.samplers.cpu_sampler.load(std::memory_order_acquire);
    if (me == nullptr) return;
    const sys::cancel_guard uncancelled;
    const sys::guard hold(me->entries_);
    if (!me->active_.exchange(false)) return;
    me->paused_ = true;
    me->threads_.clear([me](cpu_thread& t) { me->end_thread(t); });
    me->interval_.stop();
    profiling_signal::drop_pending(s);
  }
  static void resume(state::process_state& s) noexcept {
    cpu_sampler* const me = s.samplers.cpu_sampler.load(std::memory_order_acquire);
    if (me == nullptr) return;
    const sys::cancel_guard uncancelled;
    const sys::guard hold(me->entries_);
    if (!std::exchange(me->paused_, false)) return;
    me->active_.store(true, std::memory_order_release);
    me->watch_.start_over();
    me->watch_.look(sys::monotonic_ns(), [me] { me->look(false); });
  }

  // Called in the handler of SIGPROF: true if the signal is for this sampler. Signal-safe.
  static bool handle_signal(state::process_state& s, const siginfo_t& info,
                            const ucontext_t& at) noexcept {
    cpu_sampler* const me = s.samplers.cpu_sampler.load(std::memory_order_acquire);
    if (me == nullptr) return false;
    switch (info.si_code) {
      case SI_TIMER:
        return me->take_timer(info, at);
      case SI_KERNEL:
        return me->take_interval(at);
      case POLL_IN:
        return me->take_counter(info, at);
      default:
        return false;
    }
  }

 private:
  static constexpr std::int64_t most_late_ticks = 10;
  static constexpr std::int64_t shortest_watch_ns = 10'000'000;

  cpu_conditions conditions(int asked_hz) {
    cpu_conditions now;
    now.asked_hz = asked_hz;
    now.blocked_ns = blocked_ns_.load(std::memory_order_relaxed);
    now.listed = listed_.load(std::memory_order_relaxed);
    now.filtered = sys::is_filtered.load(std::memory_order_relaxed);
    const profiling_signal* const signal = state_.samplers.signal.load(std::memory_order_acquire);
    now.without_room = profiling_signal::without_room(state_);
    now.handler_replaced = signal != nullptr && signal->replaced();
    const sys::guard hold(entries_);
    now.rate = rate_;
    now.by_interval = interval_.period_ns() != 0;
    now.without_entry = threads_.without_entry();
    threads_.for_each([&now](const cpu_thread& t) {
      if (!t.takes_signal()) {
        ++now.blocking;
        return;
      }
      ++now.threads;
      if (!t.is_timed()) ++now.without_timer;
      if (t.is_counted()) ++now.counted;
    });
    return now;
  }

  // Requires: control_ is held.
  std::error_code start() noexcept {
    own_ = sys::publish_once(state_.arena, state_.samplers.own);
    if (own_ == nullptr) return std::make_error_code(std::errc::not_enough_memory);
    state_.guests.enter(state::guest_list::cpu_sampler, as_guest);
    if (const auto error =
            profiling_signal::install(state_, profiling_signal::for_cpu, &handle_signal))
      return error;
    // Held while the thread starts, so that it finds the sampler set up.
    const sys::guard hold(entries_);
    if (!state_.samplers.births_are_told.load(std::memory_order_relaxed)) {
      if (const int error = own_->start(own_->cpu_watcher, &watch, this, "whence-cpu")) {
        return {error, std::generic_category()};
      }
    }
    beginner_ = ::gettid();
    rate_ = {requests_.period_ns(), 1'000'000'000 / sys::ticks_per_second()};
    active_.store(true, std::memory_order_release);
    watch_.start_over();
    watch_.look(sys::monotonic_ns(), [this] { look(false); });
    return {};
  }

  // Requires: control_ is held.
  void stop() noexcept {
    if (own_->cpu_watcher.runs()) own_->cpu_watcher.stop();
    const sys::guard hold(entries_);
    active_.store(false, std::memory_order_release);
    paused_ = false;
    threads_.clear([this](cpu_thread& t) { end_thread(t); });
    interval_.stop();
  }

  // Requires: control_ is held.
  void change_rate() noexcept {
    const sys::guard hold(entries_);
    if (rate_.period_ns == requests_.period_ns()) return;
    rate_.period_ns = requests_.period_ns();
    threads_.for_each([this](cpu_thread& t) {
      forget_sources(t);
      t.change(rate_, numbers_if_affordable());
      note_sources(t);
    });
    if (interval_.period_ns() != 0) use_interval_timer();
  }

  static void watch(void* self) noexcept {
    auto& me = *static_cast<cpu_sampler*>(self);
    for (std::int64_t next = sys::monotonic_ns(); me.own_->cpu_watcher.sleep_until(next);) {
      const sys::guard hold(me.entries_);
      const std::int64_t now = sys::monotonic_ns();
      me.do_watch(now);
      next = me.watch_.next_ns() > now ? me.watch_.next_ns() : now + shortest_watch_ns;
    }
  }

  // Requires: entries_ is held.
  void do_watch(std::int64_t now) noexcept {
    if (!active_.load(std::memory_order_relaxed)) return;
    if (now >= watch_.next_ns()) watch_.look(now, [this] { look(true); });
    profiling_signal::restore(state_);
    look_at_masks();
  }

  // Does the work of the sampler's thread, if it does not run. Requires: entries_ is held.
  void tend_here() noexcept {
    if (own_ == nullptr || own_->cpu_watcher.runs()) return;
    const std::int64_t now = sys::monotonic_ns();
    if (now >= watch_.next_ns()) do_watch(now);
  }

  // Requires: entries_ is held. `are_new`: unknown threads have begun since the last look.
  void look(bool are_new) noexcept {
    bool starved = false;
    const auto skip = [this](::pid_t tid) { return own_->has(tid); };
    const auto begins = [&](cpu_thread& t, ::pid_t tid) {
      starved = !begin_thread(t, tid, are_new) || starved;
    };
    const auto ends = [this](cpu_thread& t) { end_thread(t); };
    const bool listed = threads_.follow(skip, begins, ends);
    listed_.store(listed, std::memory_order_relaxed);
    if (!listed) {
      threads_.follow_known([this](auto visit) { for_each_known(state_, beginner_, visit); }, skip,
                            begins, ends);
    }
    if (starved) use_interval_timer();
  }

  // Called in a tracked thread that begins, since a short thread may end before a look finds it.
  static void on_thread_start(state::process_state& s) noexcept {
    cpu_sampler* const me = s.samplers.cpu_sampler.load(std::memory_order_acquire);
    if (me == nullptr || !me->active_.load(std::memory_order_acquire)) return;
    const sys::cancel_guard uncancelled;
    const sys::guard hold(me->entries_);
    if (!me->active_.load(std::memory_order_relaxed)) return;
    // Without a thread that looks every 10 ms, an entry with this number may be an ended thread's.
    if (!me->own_->cpu_watcher.runs()) {
      me->threads_.remove(::gettid(), [me](cpu_thread& t) { me->end_thread(t); });
    }
    me->threads_.add(::gettid(), [me](cpu_thread& t, ::pid_t tid) {
      if (!me->begin_thread(t, tid, true)) me->use_interval_timer();
    });
    me->tend_here();
  }

  // Looks for a thread that has begun or ceased to block SIGPROF, at a bounded number of clocks and
  // at one mask each time. Requires: entries_ is held.
  void look_at_masks() noexcept {
    constexpr std::size_t clocks = 64;
    threads_.for_some(next_mask_, clocks, [this](cpu_thread& t) {
      if (t.has_answered.exchange(false, std::memory_order_relaxed)) {
        t.asked_cpu_ns = sys::thread_cpu_ns(t.tid.load(std::memory_order_relaxed));
        return true;
      }
      if (!t.is_mask_doubtful(rate_)) return true;
      forget_sources(t);
      if (!t.look_at_mask(rate_, may_have_timer(), numbers_if_affordable())) use_interval_timer();
      note_sources(t);
      return false;
    });
    if (interval_.period_ns() != 0 && any_blocks()) interval_.stop();
  }

  bool any_blocks() const noexcept {
    bool any = false;
    threads_.for_each([&any](const cpu_thread& t) { any = any || !t.takes_signal(); });
    return any;
  }

  // Its signal is the process's, so a thread that waits for SIGPROF might be given it.
  void use_interval_timer() noexcept {
    if (!any_blocks()) interval_.set(rate_.longer_of_period_and_tick());
  }

  bool may_have_timer() const noexcept { return timers_ < sys::affordable_timers(2); }

  // False if the kernel refuses a timer.
  bool begin_thread(cpu_thread& t, ::pid_t tid, bool is_new) noexcept {
    if (!give_frames(state_, t)) return true;
    t.is_main = tid == ::getpid();
    // Release: a handler that finds the entry by its tid finds the rest.
    t.tid.store(tid, std::memory_order_release);
    const bool timed = t.begin(rate_, is_new, may_have_timer(), numbers_if_affordable());
    note_sources(t);
    return timed;
  }

  void end_thread(cpu_thread& t) noexcept {
    forget_sources(t);
    t.end();
  }

  void note_sources(const cpu_thread& t) noexcept {
    timers_ += t.is_timed() ? 1 : 0;
    counters_ += t.is_counted() ? 1 : 0;
  }
  void forget_sources(const cpu_thread& t) noexcept {
    timers_ -= t.is_timed() ? 1 : 0;
    counters_ -= t.is_counted() ? 1 : 0;
  }

  perf_fds* numbers_if_affordable() noexcept {
    return counters_ < most_counters() ? &numbers_ : nullptr;
  }

  // Descriptors belong to the program: counters take an eighth of its limit at most.
  static int most_counters() noexcept {
    const long share = ::sysconf(_SC_OPEN_MAX) / 8;
    constexpr int most = 256;
    return share < most ? static_cast<int>(share) : most;
  }

  // ---- in the handler

  bool take_timer(const siginfo_t& info, const ucontext_t& at) noexcept {
    cpu_thread* const t = threads_.at(info.si_value.sival_ptr);
    if (t == nullptr) return false;
    const entry_in_use<cpu_thread> in_use(*t);
    // A late signal of a deleted timer is still ours.
    if (info.si_timerid != t->timer.load()) return true;
    cpu_thread_here = t;
    t->has_answered.store(true, std::memory_order_relaxed);
    const bool counted = t->is_counted();
    const std::int64_t one = t->timer_ns.load(std::memory_order_relaxed);
    std::int64_t ns = t->expired(1 + std::int64_t{info.si_overrun});
    const std::uintptr_t pc = unwind::interrupted(at).pc;
    if (counted && !unwind::in_syscall(pc)) {
      ns = 0;
    } else if (ns > one + most_late_ticks * rate_.tick_ns && was_blocked(pc)) {
      blocked_ns_.fetch_add(ns - one, std::memory_order_relaxed);
      t->explained_ns.fetch_add(ns - one, std::memory_order_relaxed);
      ns = one;
    } else if (counted) {
      ns = t->left_of(ns);
    }
    ns += t->missed_ns.exchange(0, std::memory_order_relaxed);
    if (ns > 0) count(*t, ns, at);
    return true;
  }

  // For a late signal: true if the thread blocked it. A long system call delays it too, but then
  // the time was spent in that call.
  static bool was_blocked(std::uintptr_t pc) noexcept {
    return !unwind::in_syscall(pc) || unwind::after_signal_mask_call(pc);
  }

  bool take_counter(const siginfo_t& info, const ucontext_t& at) noexcept {
    if (!numbers_.has(info.si_fd)) return false;
    cpu_thread* const t = entry_here();
    if (t == nullptr) return true;
    const entry_in_use<cpu_thread> in_use(*t);
    // A late signal of a closed counter is still ours.
    if (!is_here(*t) || t->counter.load(std::memory_order_acquire) != info.si_fd) return true;
    const std::int64_t period = t->counter_ns.load(std::memory_order_relaxed);
    if (t->counter_is_fresh.exchange(false, std::memory_order_relaxed)) {
      set_counter_period(info.si_fd, period);
    }
    // The kernel held back this interrupt on its way out: its time belongs to the system call, and
    // the tick counts it.
    if (unwind::in_syscall(unwind::interrupted(at).pc)) return true;
    count(*t, period, at);
    return true;
  }

  // A signal of the interval timer. A thread with its own timer is sampled by that one.
  bool take_interval(const ucontext_t& at) noexcept {
    const std::int64_t period = interval_.period_ns();
    if (period == 0) return false;
    cpu_thread* const t = entry_here();
    if (t == nullptr) return true;
    const entry_in_use<cpu_thread> in_use(*t);
    const bool is_ours = is_here(*t) && !t->is_timed();
    const bool is_seen = t->is_counted() && !unwind::in_syscall(unwind::interrupted(at).pc);
    if (is_ours && !is_seen) count(*t, period, at);
    return true;
  }

  cpu_thread* entry_here() noexcept {
    const ::pid_t tid = ::gettid();
    cpu_thread* const t = cpu_thread_here;
    if (t != nullptr && t->tid.load(std::memory_order_acquire) == tid) return t;
    return cpu_thread_here = threads_.find(tid);
  }

  // The tid is compared again once the entry is in use: until then the entry could be freed and
  // given to another thread, whose handler uses the same buffer.
  static bool is_here(const cpu_thread& t) noexcept { return t.tid.load() == ::gettid(); }

  void count(cpu_thread& t, std::int64_t ns, const ucontext_t& at) noexcept {
    if (!active_.load(std::memory_order_acquire)) return;
    if (!sys::has_stack_headroom(t.is_main, at.uc_stack))
      return profiling_signal::note_no_room(state_);
    t.explained_ns.fetch_add(ns, std::memory_order_relaxed);
    unwind::trace trace{t.pcs, t.capacity};
    unwind::capture_context(state_.unwinder, trace, at);
    unwind::use_keys<unwind::copied_memory>(state_.unwinder, trace);
    const sample_labels labels(state_, state::label_word_of_this_thread(state_));
    const tables::sample_epochs::entry epoch(state_.samplers.cpu);
    tables::bucket* const b = epoch.record(labels.over(trace));
    if (b == nullptr) return;
    b->add(core::sample_counter, 1);
    b->add(core::time_counter, ns);
  }

  // ---- fork

  // The child has no timers, sampler threads or sessions; it inherited only descriptors.
  static void after_fork_in_child(state::process_state& s) noexcept {
    s.samplers.cpu.after_fork_in_child();
    if (cpu_sampler* const me = s.samplers.cpu_sampler.exchange(nullptr)) {
      me->active_.store(false, std::memory_order_relaxed);
      me->threads_.for_each([](cpu_thread& t) {
        const int open = t.counter.exchange(no_counter, std::memory_order_relaxed);
        const ::pid_t tid = t.tid.load(std::memory_order_relaxed);
        // (It is not disabled: that would disable the parent's.)
        if (is_counter_of(open, tid, profiling_signal_number)) ::close(open);
      });
    }
    cpu_thread_here = nullptr;
  }
  static constexpr state::guest as_guest{.after_fork_in_child = &after_fork_in_child,
                                         .on_thread_start = &on_thread_start};

  state::process_state& state_;
  std::atomic<bool> listed_{true};
  sys::futex_mutex control_;
  sys::futex_mutex entries_;
  library_threads* own_ = nullptr;
  requested_rates requests_;
  cpu_rate rate_;
  ::pid_t beginner_ = 0;           // the thread that began the first session
  int timers_ = 0, counters_ = 0;  // all threads'
  perf_fds numbers_;
  thread_table<cpu_thread> threads_;
  std::size_t next_mask_ = 0;  // where look_at_masks() goes on
  new_thread_poll watch_{shortest_watch_ns, 50};
  std::atomic<bool> active_{false};
  bool paused_ = false;  // guarded by entries_
  interval_timer interval_;
  std::atomic<std::int64_t> blocked_ns_{0};
};

}  // namespace whence::inline v1::samplers

#endif  // WHENCE_SAMPLERS_CPU_SAMPLER_HPP
