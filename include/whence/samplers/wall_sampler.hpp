// SPDX-License-Identifier: Apache-2.0
//
// The process's one sampler of wall-clock time, shared by all sessions. Its thread looks at all
// threads of the process at one random moment of each period, and counts the period for each at its
// stack.
//
//   CPU clock as at the last look?     asleep as before: counted there           0.3 us
//   asleep in the kernel?              its stack is read, not disturbed          10 to 30 us
//   running, or ready to               it is asked for its stack at its next tick
//
// The moment is drawn anew in each period, so that it never runs in step with a loop of the
// program, and all moments are equally likely. The cost is bounded: if a fiftieth of a processor is
// too little to look at all threads, it looks at as many as it affords, from a random place of the
// list on, and each counts for the others.
#ifndef WHENCE_SAMPLERS_WALL_SAMPLER_HPP
#define WHENCE_SAMPLERS_WALL_SAMPLER_HPP

#include <unistd.h>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <new>
#include <string>
#include <system_error>

#include <whence/core/counters.hpp>
#include <whence/samplers/cpu_comments.hpp>
#include <whence/samplers/fork_rules.hpp>
#include <whence/samplers/library_threads.hpp>
#include <whence/samplers/new_thread_poll.hpp>
#include <whence/samplers/profiling_signal.hpp>
#include <whence/samplers/requested_rates.hpp>
#include <whence/samplers/sample_labels.hpp>
#include <whence/samplers/session.hpp>
#include <whence/samplers/sleeping_stack.hpp>
#include <whence/samplers/thread_table.hpp>
#include <whence/samplers/wall_thread.hpp>
#include <whence/samplers/window.hpp>
#include <whence/state/attach.hpp>
#include <whence/state/process_state.hpp>
#include <whence/state/thread_labels.hpp>
#include <whence/sys/algorithms.hpp>
#include <whence/sys/clock.hpp>
#include <whence/sys/futex_mutex.hpp>
#include <whence/sys/guard.hpp>
#include <whence/sys/proc_task.hpp>
#include <whence/sys/publish_once.hpp>
#include <whence/sys/random.hpp>
#include <whence/sys/service_thread.hpp>
#include <whence/sys/signal_mask.hpp>
#include <whence/tables/bucket.hpp>
#include <whence/tables/label_sets.hpp>
#include <whence/tables/label_values.hpp>
#include <whence/tables/pseudo_frame.hpp>
#include <whence/tables/sample_epochs.hpp>
#include <whence/unwind/modules/unloadable_keys.hpp>

namespace whence::inline v1::samplers {

class wall_sampler {
 public:
  explicit wall_sampler(state::process_state& s) noexcept : state_(s), threads_{s.arena} {}

  // The sampler of the process; nullptr if memory is exhausted.
  static wall_sampler* get(state::process_state& s) noexcept {
    enter(s);
    return sys::publish_once(s.arena, s.samplers.wall_sampler, s);
  }

  static constexpr instruments::kind kind = instruments::kind::wall;
  static tables::sample_epochs& epochs(state::process_state& s) noexcept { return s.samplers.wall; }
  static bool is_current(const state::process_state& s, const wall_sampler* it) noexcept {
    return s.samplers.wall_sampler.load(std::memory_order_acquire) == it &&
           s.samplers.process.load(std::memory_order_relaxed) == ::getpid();
  }

  std::error_code begin(rate_request& w) noexcept {
    const sys::guard hold(control_);
    requests_.add(w);
    period_ns_.store(requests_.period_ns(), std::memory_order_relaxed);
    if (own_ == nullptr || !own_->wall_clock.runs()) {
      if (const std::error_code error = start()) {
        requests_.remove(w);
        return error;
      }
    }
    return {};
  }

  void end(rate_request& w) noexcept {
    const sys::guard hold(control_);
    requests_.remove(w);
    if (requests_.empty()) {
      own_->wall_clock.stop();
      active_.store(false, std::memory_order_release);
      const sys::guard still(looks_);
      threads_.clear([this](wall_thread& t) { end_thread(t); });
    } else {
      period_ns_.store(requests_.period_ns(), std::memory_order_relaxed);
    }
  }

  // Counts what threads have answered, and looks if the sampler's thread is late: beside busy
  // processes it waits for a processor, too.
  void settle() noexcept {
    const sys::guard hold(looks_);
    if (!active_.load(std::memory_order_relaxed)) return;
    catch_up(period_ns_.load(std::memory_order_relaxed), 0);
    threads_.for_each([this](wall_thread& t) {
      collect(t);
      // It has hardly run since its last answer, so its stack of that moment is used.
      const ::pid_t tid = t.tid.load(std::memory_order_relaxed);
      const bool is_recent = sys::thread_cpu_ns(tid) - t.answered_cpu_ns <= patience_ns_;
      const tables::sample_epochs::entry epoch(state_.samplers.wall);
      tables::bucket* const answered = t.answered.in(epoch);
      if (t.pending_ns > 0 && answered != nullptr && is_recent) count_pending(t, answered);
    });
  }

  // Adds the time for which answers are still to come.
  void complete(profile_snapshot& p, const moment& from, const moment& to,
                const rate_request& asked) {
    std::int64_t unanswered = 0;
    int without_entry = 0;
    {
      const sys::guard hold(looks_);
      threads_.for_each([&](const wall_thread& t) {
        unanswered += sys::least(t.pending_ns, to.monotonic_ns - from.monotonic_ns);
      });
      without_entry = threads_.without_entry();
    }
    if (unanswered > 0) p.rows.push_back(pseudo_row(tables::pseudo::unsampled, unanswered));
    p.header.comments.push_back("asked for " + std::to_string(asked.hz) +
                                " looks a second at every thread");
    const std::int64_t share = seen_share_.load(std::memory_order_relaxed);
    if (share < 1000) {
      p.header.comments.push_back("at the end a look was at " + std::to_string(share) +
                                  " of 1000 threads, counted for all");
    }
    if (!listed_.load(std::memory_order_relaxed)) {
      p.header.comments.push_back(not_listed_comment());
    }
    if (without_entry > 0) p.header.comments.push_back(no_entry_comment(without_entry));
    const auto say = [&](const std::atomic<std::int64_t>& count, const char* what) {
      const std::int64_t n = count.load(std::memory_order_relaxed);
      if (n > 0) p.header.comments.push_back(std::to_string(n) + what);
    };
    say(incomplete_, " stacks of sleeping threads could not be read reliably to their root");
    say(hidden_, " looks at sleeping threads might not read /proc/self/task/*/syscall");
    say(blocked_, " looks at running threads that block SIGPROF: [unsampled]");
    if (const std::int64_t n = profiling_signal::without_room(state_); n > 0) {
      p.header.comments.push_back(no_room_comment(n));
    }
    say(unasked_, " looks at running threads had no timer to ask them for their stack");
  }

  // Called in the handler of SIGPROF: true if the signal is for this sampler. Signal-safe.
  static bool handle_signal(state::process_state& s, const siginfo_t& info,
                            const ucontext_t& at) noexcept {
    wall_sampler* const me = s.samplers.wall_sampler.load(std::memory_order_acquire);
    if (me == nullptr || info.si_code != SI_TIMER) return false;
    wall_thread* const t = me->threads_.at(info.si_value.sival_ptr);
    if (t == nullptr) return false;
    const entry_in_use<wall_thread> in_use(*t);
    if (info.si_timerid == t->timer.load() && me->active_.load(std::memory_order_acquire)) {
      t->leave(s, at);
    }
    return true;
  }

 private:
  enum activity : int { running, waiting, disk, state_count };
  static constexpr const char* state_names[state_count]{"running", "waiting", "disk"};

  // Requires: control_ is held.
  std::error_code start() noexcept {
    own_ = sys::publish_once(state_.arena, state_.samplers.own);
    if (own_ == nullptr) return std::make_error_code(std::errc::not_enough_memory);
    state_.guests.enter(state::guest_list::wall_sampler, as_guest);
    if (room_ == nullptr) {
      room_ = static_cast<unwind::sleeping_stack_room*>(
          sys::map_pages(sizeof(unwind::sleeping_stack_room)));
    }
    if (room_ == nullptr) return std::make_error_code(std::errc::not_enough_memory);
    if (const auto error =
            profiling_signal::install(state_, profiling_signal::for_wall, &handle_signal))
      return error;
    for (int i = 0; i < state_count; ++i) {
      const instruments::label both[]{tables::label_sets::shown_as_lost, {"state", state_names[i]}};
      states_[i] = state_.labels.intern({both + 1, 1}, tables::label_sets::most);
      lost_states_[i] = state_.labels.intern({both, 2}, tables::label_sets::most);
    }
    // Held while the thread starts, so that it finds the sampler set up.
    const sys::guard hold(looks_);
    begin_ns_.store(sys::monotonic_ns(), std::memory_order_relaxed);
    if (const int error = own_->start(own_->wall_clock, &run, this, "whence-wall")) {
      return {error, std::generic_category()};
    }
    watch_.start_over();
    beginner_ = ::gettid();
    active_.store(true, std::memory_order_release);
    return {};
  }

  static void run(void* self) noexcept { static_cast<wall_sampler*>(self)->run(); }

  void run() noexcept {
    for (;;) {
      const std::int64_t period = period_ns_.load(std::memory_order_relaxed);
      const auto at = static_cast<std::int64_t>(sys::uniform() * static_cast<double>(period));
      if (!own_->wall_clock.sleep_until(begin_ns_.load(std::memory_order_relaxed) + at)) return;
      const sys::guard hold(looks_);
      // Periods that this thread slept through count too.
      catch_up(period, 1);
    }
  }

  // Looks once for all periods that have begun, and for `ahead` of those that have just begun.
  // Requires: looks_ is held.
  void catch_up(std::int64_t period, std::int64_t ahead) noexcept {
    const std::int64_t now = sys::monotonic_ns();
    const std::int64_t begin = begin_ns_.load(std::memory_order_relaxed);
    const std::int64_t periods = now < begin ? 0 : ahead + (now - begin) / period;
    if (periods == 0) return;
    look(now, periods * period, periods > ahead);
    begin_ns_.store(begin + periods * period, std::memory_order_relaxed);
  }

  // Counts `ns` for every thread. If the look is late, answers have come meanwhile, and the time is
  // counted at their stacks. Requires: looks_ is held.
  void look(std::int64_t now, std::int64_t ns, bool is_late) noexcept {
    profiling_signal::restore(state_);  // for the requests that are open
    if (now >= watch_.next_ns()) {
      watch_.look(now, [this] { follow(); });
    }
    std::size_t count = 0;
    threads_.for_each([&](wall_thread& t) {
      ++count;
      if (!is_late) collect(t);
    });
    if (count == 0) return;
    const std::int64_t begin = sys::clock_ns(CLOCK_THREAD_CPUTIME_ID);
    const std::size_t chosen = affordable(count, ns);
    const std::size_t first = sys::random_bits() % count;
    const auto each =
        static_cast<double>(ns) * static_cast<double>(count) / static_cast<double>(chosen);
    std::size_t i = 0;
    threads_.for_each([&](wall_thread& t) {
      const std::size_t place = i >= first ? i - first : i + count - first;
      ++i;
      if (place < chosen) look_at(t, sys::round_randomly(each));
      if (is_late) collect(t);
    });
    const auto used = static_cast<double>(sys::clock_ns(CLOCK_THREAD_CPUTIME_ID) - begin);
    cost_ns_ += (used / static_cast<double>(chosen) - cost_ns_) / 8;
    seen_share_.store(static_cast<std::int64_t>(1000 * chosen / count), std::memory_order_relaxed);
  }

  // How many threads a period of `ns` allows to look at.
  std::size_t affordable(std::size_t count, std::int64_t ns) const noexcept {
    constexpr double share = 0.01;  // the rest is for finding threads
    constexpr std::size_t least = 8;
    const double most = share * static_cast<double>(ns) / cost_ns_;
    if (most >= static_cast<double>(count)) return count;
    const auto n = static_cast<std::size_t>(most);
    return n > least ? n : count < least ? count : least;
  }

  void follow() noexcept {
    const auto skip = [this](::pid_t tid) { return own_->has(tid); };
    const auto begins = [this](wall_thread& t, ::pid_t tid) {
      t.is_main = tid == ::getpid();
      t.has_stack.store(false, std::memory_order_relaxed);
      if (give_frames(state_, t)) t.tid.store(tid, std::memory_order_release);
    };
    const auto ends = [this](wall_thread& t) { end_thread(t); };
    const bool listed = threads_.follow(skip, begins, ends);
    if (!listed) {
      threads_.follow_known([this](auto visit) { for_each_known(state_, beginner_, visit); }, skip,
                            begins, ends);
    }
    listed_.store(listed, std::memory_order_relaxed);
  }

  void look_at(wall_thread& t, std::int64_t ns) noexcept {
    const ::pid_t tid = t.tid.load(std::memory_order_relaxed);
    const std::int64_t cpu = sys::thread_cpu_ns(tid);
    if (cpu < 0) return;  // ended
    if (cpu == t.cpu_ns && count_asleep(t, ns)) return;
    t.asleep = {};
    sleeping_stack stack;
    std::uint64_t labels = 0;
    switch (stack.read(state_.unwinder, tid, *room_, depth(), [&] {
      labels = with_state(state_.threads.labels_of(tid),
                          sys::read_stat(tid).letter == 'D' ? disk : waiting);
    })) {
      case sleeping_stack::result::read:
        return count_read(t, stack, labels, ns);
      case sleeping_stack::result::ended:
        return;
      case sleeping_stack::result::hidden:
        return count_hidden(t, tid, ns);
      case sleeping_stack::result::no_state:
        // If the thread lives, /proc is missing: one that has not run since the last look sleeps.
        if (sys::thread_cpu_ns(tid) < 0) return;
        if (stack.cpu_ns == t.cpu_ns) return count_hidden(t, tid, ns);
        t.cpu_ns = stack.cpu_ns;
        break;
      case sleeping_stack::result::running:
        break;
    }
    look_at_running(t, tid, ns);
  }

  void count_read(wall_thread& t, sleeping_stack& s, std::uint64_t labels,
                  std::int64_t ns) noexcept {
    if (!s.is_whole) {
      incomplete_.fetch_add(1, std::memory_order_relaxed);
      s.trace.pcs[s.trace.depth++] = tables::pseudo::truncated;
    }
    if (t.pending_ns > most_pending_ns) count_unseen(t, 0);
    const tables::sample_epochs::entry epoch(state_.samplers.wall);
    t.asleep = {record(epoch, s.trace, labels), epoch.number()};
    t.cpu_ns = s.cpu_ns;
    if (t.asleep.it != nullptr) count(*t.asleep.it, 1, ns);
  }

  // It runs, or is ready to.
  void look_at_running(wall_thread& t, ::pid_t tid, std::int64_t ns) noexcept {
    t.pending_labels = with_state(state_.threads.labels_of(tid), running);
    t.pending_samples += 1;
    t.pending_ns += ns;
    const std::int64_t cpu = sys::thread_cpu_ns(tid);
    if (t.is_asked) {
      if (t.pending_ns <= most_pending_ns || cpu - t.asked_cpu_ns <= patience_ns_) return;
      count_unseen(t, 0);  // it ran, and did not answer
    }
    const sys::task_mask mask = sys::mask_now(tid, profiling_signal_number, t.mask);
    if (mask.is_known && !t.takes_signal(mask)) {
      if (!mask.blocks) return;  // it is asked when it is known not to
      blocked_.fetch_add(1, std::memory_order_relaxed);
      return withdraw(t);
    }
    // The answer is a signal, which must not meet SIG_DFL.
    profiling_signal::restore(state_);
    const bool had_timer = t.has_timer();
    const bool asked = (had_timer || timers_ < sys::affordable_timers(4)) && t.ask(cpu);
    timers_ += t.has_timer() && !had_timer ? 1 : 0;
    if (!asked) {
      unasked_.fetch_add(1, std::memory_order_relaxed);
      count_unseen(t, 0);
    }
  }

  // False if it was not asleep at the last look, or its stack is not in the current epoch.
  bool count_asleep(wall_thread& t, std::int64_t ns) noexcept {
    const tables::sample_epochs::entry epoch(state_.samplers.wall);
    tables::bucket* const b = t.asleep.in(epoch);
    if (b != nullptr) count(*b, 1, ns);
    return b != nullptr;
  }

  // The thread will not answer.
  void withdraw(wall_thread& t) noexcept {
    timers_ -= t.has_timer() ? 1 : 0;
    t.take_back();
    count_unseen(t, 0);
  }

  // The labels of a thread, and its state. If there is no room for the set, the state is kept
  // alone; a value for which a set with the state has no room passes.
  std::uint64_t with_state(std::uint64_t labels, activity now) noexcept {
    const std::uint32_t set = instruments::label_number_in(labels);
    if (set == tables::label_sets::overflow) return lost_states_[now];
    tables::replaced_labels replaced{static_cast<tables::replaced_label*>(
        __builtin_alloca(tables::most_with_state * sizeof(tables::replaced_label)))};
    const std::uint32_t both =
        state_.label_merges.over(set, states_[now], replaced, tables::most_with_state);
    if (both == tables::label_sets::overflow) return lost_states_[now];
    const std::uint64_t ticket = instruments::label_ticket_in(labels);
    if (replaced.empty()) return instruments::label_word(both, ticket);
    tables::thread_record* const mine = state::record_of_this_thread(state_);
    return instruments::label_word(
        both, mine == nullptr ? 0 : state_.passing_labels.keep(*mine, replaced, 0, ticket));
  }

  // For a hidden sleeping thread only the state is known.
  void count_hidden(wall_thread& t, ::pid_t tid, std::int64_t ns) noexcept {
    hidden_.fetch_add(1, std::memory_order_relaxed);
    t.pending_labels = with_state(state_.threads.labels_of(tid), waiting);
    count_unseen(t, ns);
  }

  // Counts the time a running thread had collected, at the stack it has left since then.
  void collect(wall_thread& t) noexcept {
    if (!t.has_stack.load(std::memory_order_acquire)) return;
    t.answered = count_pending(t, t.stack, with_state(t.labels, running));
    t.answered_cpu_ns = t.asked_cpu_ns;
    t.is_asked = false;
    t.has_stack.store(false, std::memory_order_release);
  }

  // Counts that time, and `ns` more, without a stack. An answer that still comes is for later
  // looks.
  void count_unseen(wall_thread& t, std::int64_t ns) noexcept {
    t.is_asked = false;
    t.pending_ns += ns;
    t.pending_samples += ns > 0 ? 1 : 0;
    if (t.pending_ns == 0) return;
    std::uintptr_t frame = tables::pseudo::unsampled;
    count_pending(t, {&frame, 1, 1}, t.pending_labels);
  }

  // Returns where it was counted.
  place_in_epoch count_pending(wall_thread& t, const unwind::trace& trace,
                               std::uint64_t labels) noexcept {
    const tables::sample_epochs::entry epoch(state_.samplers.wall);
    const place_in_epoch place{record(epoch, trace, labels), epoch.number()};
    count_pending(t, place.it);
    return place;
  }
  static void count_pending(wall_thread& t, tables::bucket* b) noexcept {
    if (b != nullptr) count(*b, t.pending_samples, t.pending_ns);
    t.pending_samples = 0;
    t.pending_ns = 0;
  }

  std::size_t depth() const noexcept {
    return static_cast<std::size_t>(state_.stack_depth.load(std::memory_order_relaxed));
  }

  tables::bucket* record(const tables::sample_epochs::entry& epoch, const unwind::trace& t,
                         std::uint64_t labels) noexcept {
    return epoch.record(sample_labels(state_, labels).over(t));
  }

  static void count(tables::bucket& b, std::int64_t samples, std::int64_t ns) noexcept {
    b.add(core::sample_counter, samples);
    b.add(core::time_counter, ns);
  }

  void end_thread(wall_thread& t) noexcept {
    collect(t);
    count_unseen(t, 0);
    timers_ -= t.has_timer() ? 1 : 0;
    t.end();
  }

  // ---- fork

  static void after_fork_in_child(state::process_state& s) noexcept {
    s.samplers.wall.after_fork_in_child();
    if (wall_sampler* const me = s.samplers.wall_sampler.exchange(nullptr)) {
      me->active_.store(false, std::memory_order_relaxed);
    }
  }

  static constexpr state::guest as_guest{.after_fork_in_child = &after_fork_in_child};

  static constexpr std::int64_t most_pending_ns = 250'000'000;
  // A thread answers at a tick, and some of its time slices contain none.
  const std::int64_t patience_ns_ = 10'000'000'000 / sys::ticks_per_second();

  state::process_state& state_;
  sys::futex_mutex control_;
  library_threads* own_ = nullptr;
  requested_rates requests_;
  std::atomic<std::int64_t> period_ns_{0};
  std::atomic<bool> active_{false};
  std::uint32_t states_[state_count]{}, lost_states_[state_count]{};  // label sets

  sys::futex_mutex looks_;                 // held while a thread looks, and for what follows
  ::pid_t beginner_ = 0;                   // the thread that began the first session
  std::atomic<std::int64_t> begin_ns_{0};  // of the period
  thread_table<wall_thread> threads_;
  new_thread_poll watch_{50'000'000, 400};
  unwind::sleeping_stack_room* room_ = nullptr;
  int timers_ = 0;                              // the threads'
  double cost_ns_ = 2000;                       // a look at one thread
  std::atomic<std::int64_t> seen_share_{1000};  // share of the threads, in thousandths
  std::atomic<std::int64_t> incomplete_{0};
  std::atomic<std::int64_t> hidden_{0};
  std::atomic<std::int64_t> unasked_{0};
  std::atomic<std::int64_t> blocked_{0};
  std::atomic<bool> listed_{true};
};

}  // namespace whence::inline v1::samplers

#endif  // WHENCE_SAMPLERS_WALL_SAMPLER_HPP
