// SPDX-License-Identifier: Apache-2.0
//
// Takes every thread's stack at this moment, without stopping any thread.
//
//   asleep in the kernel      its stack is read, and holds if its CPU clock has not moved   20 us
//   running, or ready to      it is asked, and answers at its next tick                    1-4 ms
//   the calling thread        takes its own
//   coroutines, suspended     are read like any other memory                               0.3 us
//
// A thread that falls asleep before it answers is read; one that does not answer within a tenth of
// a second is in the dump without a stack. Only one dump is made at a time. (Go:
// runtime.GoroutineProfile stops the world twice for a moment, and each goroutine records itself
// before it runs on.)
#ifndef WHENCE_DUMPS_THREAD_DUMPER_HPP
#define WHENCE_DUMPS_THREAD_DUMPER_HPP

#include <unistd.h>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <whence/core/profile.hpp>
#include <whence/dumps/dumped_thread.hpp>
#include <whence/dumps/lock_waits.hpp>
#include <whence/samplers/fork_rules.hpp>
#include <whence/samplers/library_threads.hpp>
#include <whence/samplers/profiling_signal.hpp>
#include <whence/samplers/sleeping_stack.hpp>
#include <whence/samplers/stack_request.hpp>
#include <whence/samplers/thread_table.hpp>
#include <whence/snapshots/profile_header.hpp>
#include <whence/snapshots/thread_snapshot.hpp>
#include <whence/state/guest.hpp>
#include <whence/state/process_state.hpp>
#include <whence/state/thread_labels.hpp>
#include <whence/sys/algorithms.hpp>
#include <whence/sys/cancel_guard.hpp>
#include <whence/sys/clock.hpp>
#include <whence/sys/futex_mutex.hpp>
#include <whence/sys/guard.hpp>
#include <whence/sys/here.hpp>
#include <whence/sys/nap.hpp>
#include <whence/sys/pages.hpp>
#include <whence/sys/proc_task.hpp>
#include <whence/sys/publish_once.hpp>
#include <whence/sys/signal_mask.hpp>
#include <whence/sys/syscall_names.hpp>
#include <whence/sys/vector.hpp>
#include <whence/unwind/capture.hpp>
#include <whence/unwind/modules/unloadable_keys.hpp>
#include <whence/unwind/walk/sleeping_walk.hpp>

namespace whence::inline v1::dumps {

template <class = void>
class basic_thread_dumper {
 public:
  explicit basic_thread_dumper(state::process_state& s) noexcept : state_(s) {}

  // The dumper of the process; nullptr if memory is exhausted.
  static basic_thread_dumper* get(state::process_state& s) noexcept {
    samplers::enter(s);
    return sys::publish_once(s.arena, s.samplers.dumper, s);
  }

  enum class detail : bool { stacks, everything };

  // The calling thread's stack begins at the frame that returns to `caller`. Requires: as for
  // unwind::capture. Throws: std::bad_alloc.
  snapshots::thread_dump take(const profile& shown, const void* caller, detail how) {
    const sys::cancel_guard uncancelled;
    const sys::guard hold(control_);
    snapshots::thread_dump dump;
    dump.header = snapshots::header_of(shown, state_);
    frames_ = std::make_shared<std::vector<std::uintptr_t>>();
    // Repeated each time, since the program may have installed another handler.
    ready_ = get_ready();
    if (!ready_) dump.header.warnings.emplace_back("threads that run cannot be asked for stacks");
    sys::vector<dumped_thread> places = find_threads(dump);
    take_own(places.front(), caller);
    look(places);
    if (is_own(places.front().it.tid)) places.front().it.tid = 0;
    sys::erase_if(places, [](const dumped_thread& p) { return p.it.tid == 0; });
    sys::vector<snapshots::placed_thread> suspended;
    const snapshots::dump_parts others{depth(), *frames_, suspended};
    state_.guests.call(&state::guest::add_stacks, state_, others);
    // This is the last call that adds frames, so pointers to frames stay valid.
    if (how == detail::everything) {
      describe(places);
      const lock_waits waits(state_, places, *frames_);
      dump.deadlocks = waits.deadlocks();
      dump.waits = waits.take();
    }
    for (dumped_thread& p : places) finish(dump, p);
    for (snapshots::placed_thread& p : suspended) finish(dump, p);
    dump.frames = std::move(frames_);
    return dump;
  }

  // Called in the handler of SIGPROF: true if the signal is for a dump. Signal-safe.
  static bool answer(state::process_state& s, const siginfo_t& info,
                     const ucontext_t& at) noexcept {
    basic_thread_dumper* const me = s.samplers.dumper.load(std::memory_order_acquire);
    if (me == nullptr || info.si_code != SI_TIMER) return false;
    for (samplers::stack_request& asked : me->asked_) {
      if (&asked != info.si_value.sival_ptr) continue;
      const samplers::entry_in_use<samplers::stack_request> in_use(asked);
      if (info.si_timerid == asked.timer.load()) asked.leave(s, at);
      return true;
    }
    return false;
  }

 private:
  enum class found : unsigned char { stack, nothing, running };

  // Requires: control_ is held.
  bool get_ready() noexcept {
    state_.guests.enter(state::guest_list::dumper, as_guest);
    if (room_ == nullptr) {
      room_ = static_cast<unwind::sleeping_stack_room*>(
          sys::map_pages(sizeof(unwind::sleeping_stack_room)));
    }
    return room_ != nullptr && !samplers::profiling_signal::install(
                                   state_, samplers::profiling_signal::for_dumps, &answer);
  }

  // Lists the calling thread first, then the others in the order of their creation.
  sys::vector<dumped_thread> find_threads(snapshots::thread_dump& dump) {
    const ::pid_t self = ::gettid();
    sys::vector<::pid_t> tids{self};
    bool listed = false;
    for (bool all = false; !all;) {
      tids.resize(1);
      tids.reserve(2 * tids.capacity() + 64);
      all = true;
      listed = sys::for_each_task([&](::pid_t tid) {
        if (tid == self || is_own(tid)) return;
        all = all && tids.size() < tids.capacity();
        if (all) tids.push_back(tid);
      });
    }
    if (!listed) dump.header.warnings.emplace_back("threads could not be listed (/proc/self/task)");
    sys::vector<dumped_thread> places(tids.size());
    for (std::size_t i = 0; i < tids.size(); ++i) places[i].it.tid = tids[i];
    return places;
  }

  bool is_own(::pid_t tid) const noexcept {
    const samplers::library_threads* const own =
        state_.samplers.own.load(std::memory_order_acquire);
    return own != nullptr && own->has(tid);
  }

  void take_own(dumped_thread& p, const void* caller) {
    std::uintptr_t pcs[unwind::max_depth];
    unwind::trace trace{pcs, depth()};
    unwind::capture(state_.unwinder, trace, caller);
    unwind::use_keys<unwind::trusted_memory>(state_.unwinder, trace);
    p.sp = sys::current_sp();
    p.it.state = "running";
    p.it.label_set = state::labels_of_this_thread(state_);
    keep(p, trace);
  }

  void look(sys::vector<dumped_thread>& places) {
    sys::vector<dumped_thread*> running;
    for (std::size_t i = 1; i < places.size(); ++i) running.push_back(&places[i]);
    // Done twice: many threads that seem to run were woken only for a moment, by a debugger or to
    // check a condition.
    sys::erase_if(running, [&](dumped_thread* p) { return has(*p); });
    if (!running.empty()) sys::nap();
    sys::erase_if(running, [&](dumped_thread* p) { return has(*p); });
    const auto affordable = static_cast<std::size_t>(sys::affordable_timers(4));
    const std::size_t at_once = sys::least(sys::most(affordable, std::size_t{1}), most_asked);
    for (std::size_t first = 0; first < running.size(); first += at_once) {
      ask(running.data() + first, sys::least(at_once, running.size() - first));
    }
  }

  // True if it sleeps and was read, or has ended.
  bool has(dumped_thread& p) {
    const found f = read(p);
    if (f == found::nothing) p.it.tid = 0;
    return f != found::running;
  }

  // Reads its stack if it sleeps.
  found read(dumped_thread& p) {
    if (room_ == nullptr) return sys::thread_cpu_ns(p.it.tid) < 0 ? found::nothing : found::running;
    samplers::sleeping_stack stack;
    switch (stack.read(state_.unwinder, p.it.tid, *room_, depth(), [&] {
      // The thread may soon get the lock, and later wait for it again.
      p.wait = find_wait(stack.task.sp, room_->frames[stack.trace.depth - 1]);
    })) {
      case samplers::sleeping_stack::result::read:
        keep_sleeping(p, stack);
        return found::stack;
      case samplers::sleeping_stack::result::running:
        return found::running;
      case samplers::sleeping_stack::result::hidden:
        return hide(p, "it sleeps, and its stack may not be read (/proc/self/task/*/syscall)");
      case samplers::sleeping_stack::result::no_state:
        return hide_if_alive(p, stack.cpu_ns);
      case samplers::sleeping_stack::result::ended:
        break;
    }
    return found::nothing;
  }

  void keep_sleeping(dumped_thread& p, samplers::sleeping_stack& s) {
    if (!s.is_whole) {
      s.trace.truncated = true;
      p.it.note = "the rest of its stack cannot be read reliably while it sleeps";
    }
    const char* const name = sys::syscall_name(s.task.number);
    p.it.state = name != nullptr     ? name
                 : s.task.number < 0 ? "stopped"
                                     : "system call " + std::to_string(s.task.number);
    p.it.label_set = instruments::label_number_in(state_.threads.labels_of(p.it.tid));
    p.sp = s.task.sp;
    p.cpu_ns = s.cpu_ns;
    p.frame_sps.assign(room_->frames, room_->frames + s.trace.depth);
    keep(p, s.trace);
  }

  // Its state cannot be read: `cpu_ns` was its CPU clock before.
  found hide_if_alive(dumped_thread& p, std::int64_t cpu_ns) {
    if (sys::read_stat(p.it.tid).letter != '\0') return found::nothing;
    const std::int64_t now = sys::thread_cpu_ns(p.it.tid);
    if (now != cpu_ns) return now < 0 ? found::nothing : found::running;
    return hide(p, "its state cannot be read (/proc/self/task)");
  }

  // The wait for a lock that lies between these addresses of a stack.
  seen_wait find_wait(std::uintptr_t sp, std::uintptr_t root) const noexcept {
    seen_wait nearest;
    const tables::wait_slots* const slots = state_.waits.load(std::memory_order_acquire);
    if (slots == nullptr) return nearest;
    slots->for_each([&](const tables::wait_slot& slot, std::uint32_t sequence,
                        const tables::wait_in_progress& w) {
      const bool is_in = w.lock != nullptr && w.sp >= sp && w.sp <= root;
      if (!is_in || (nearest.slot != nullptr && nearest.wait.sp <= w.sp)) return;
      nearest = {&slot, sequence, w};
    });
    if (nearest.slot != nullptr && !nearest.read_holder()) nearest = {};
    return nearest;
  }

  // It is not asked for its stack, since that would end its sleep.
  found hide(dumped_thread& p, const char* why) {
    p.it.state = "waiting";
    p.it.label_set = instruments::label_number_in(state_.threads.labels_of(p.it.tid));
    p.it.note = why;
    p.first_frame = frames_->size();
    return found::stack;
  }

  // Asks running threads, at most as many as places exist, and waits for the answers.
  void ask(dumped_thread* const* running, std::size_t count) {
    for (std::size_t i = 0; i < count; ++i) begin_asking(*running[i], asked_[i]);
    const std::int64_t begin = sys::monotonic_ns();
    std::size_t left = count;
    for (std::int64_t naps = 1; left > 0; ++naps) {
      sys::nap();
      const std::int64_t passed = sys::monotonic_ns() - begin;
      left = 0;
      for (std::size_t i = 0; i < count; ++i) {
        dumped_thread& p = *running[i];
        if (p.asked != nullptr && !is_answered(p, naps % 16 == 0, passed)) ++left;
      }
    }
  }

  void begin_asking(dumped_thread& p, samplers::stack_request& asked) noexcept {
    p.it.state = "running";
    p.it.label_set = instruments::label_number_in(state_.threads.labels_of(p.it.tid));
    p.cpu_ns = sys::thread_cpu_ns(p.it.tid);
    // The thread last asked in this place may answer late, or a debugger may stop it there.
    asked.take_back();
    for (int naps = 0; asked.in_handler.load() != 0; ++naps) {
      if (naps == most_naps) {
        p.it.note = "it runs, and cannot be asked for its stack";
        return;
      }
      sys::nap();
    }
    asked.has_stack.store(false, std::memory_order_relaxed);
    asked.is_main = p.it.tid == ::getpid();
    // A blocked signal would go to the thread's own sigwait.
    if (sys::blocks_signal(p.it.tid, samplers::profiling_signal_number)) {
      p.it.note = "it runs, and blocks SIGPROF";
    } else if (ready_ && samplers::give_frames(state_, asked) && asked.ask(p.it.tid, &asked)) {
      p.asked = &asked;
    } else {
      p.it.note = "it runs, and cannot be asked for its stack";
    }
  }

  // True if the answer has come or cannot come any more.
  bool is_answered(dumped_thread& p, bool look_again, std::int64_t passed) {
    if (p.asked->has_stack.load(std::memory_order_acquire)) {
      p.it.label_set = instruments::label_number_in(p.asked->labels);
      p.sp = p.asked->sp;
      p.awaited = p.asked->awaited;
      keep(p, p.asked->stack);
    } else if (passed < patience_ns || !had_its_chance(p, passed)) {
      if (!look_again || !has(p)) return false;
    } else {
      p.it.note = sys::blocks_signal(p.it.tid, samplers::profiling_signal_number)
                      ? "no answer: it blocks SIGPROF"
                      : "no answer";
    }
    p.asked->take_back();
    p.asked = nullptr;
    return true;
  }

  // A thread can answer only at a tick on a processor, for which it may have to wait.
  static bool had_its_chance(const dumped_thread& p, std::int64_t passed) noexcept {
    const std::int64_t tick_ns = 1'000'000'000 / sys::ticks_per_second();
    return passed >= longest_patience_ns || sys::thread_cpu_ns(p.it.tid) - p.cpu_ns > 3 * tick_ns;
  }

  void keep(dumped_thread& p, const unwind::trace& t) {
    p.first_frame = frames_->size();
    for (std::size_t i = 0; i < t.depth; ++i) frames_->push_back(t.pcs[i]);
    p.depth = t.depth;
    p.it.stack.leaf_is_ip = t.leaf_is_ip;
    p.it.stack.truncated = t.truncated;
  }

  // Adds names, and since when threads sleep.
  void describe(sys::vector<dumped_thread>& places) {
    const std::int64_t now = sys::last_run_ns(::gettid());
    for (dumped_thread& p : places) {
      const sys::task_stat stat = sys::read_stat(p.it.tid);
      p.it.name = stat.name;
      if (const tables::thread_record* const r = state_.threads.find(p.it.tid)) {
        const instruments::label_list name =
            state_.labels.of(r->name.load(std::memory_order_relaxed));
        if (!name.empty()) p.it.name = name[0].value;
        const tables::bucket* const b = r->created.load(std::memory_order_acquire);
        if (b != nullptr) p.it.created_at = {b->pcs(), b->depth()};
      }
      if (p.it.state == "running") continue;
      const std::int64_t slept_at = now < 0 ? -1 : sys::last_run_ns(p.it.tid);
      if (slept_at >= 0) p.it.waited_ns = now > slept_at ? now - slept_at : 0;
      if (stat.letter == 'D') p.it.state += ", uninterruptible";
      if (stat.letter == 'T' || stat.letter == 't') p.it.state = "stopped";
    }
  }

  // Requires: all frames have been added.
  void finish(snapshots::thread_dump& dump, snapshots::placed_thread& p) const {
    p.it.labels = state_.labels.of(p.it.label_set);
    p.it.stack.stack = {frames_->data() + p.first_frame, p.depth};
    p.it.stack.labels = p.it.labels;
    p.it.stack.values[0] = p.it.stack.raw[0] = 1;
    dump.threads.push_back(std::move(p.it));
  }

  std::size_t depth() const noexcept {
    return static_cast<std::size_t>(state_.stack_depth.load(std::memory_order_relaxed));
  }

  static constexpr state::guest as_guest{
      .after_fork_in_child = [](state::process_state& s) noexcept { s.samplers.dumper = nullptr; }};

  static constexpr std::size_t most_asked = 64;
  static constexpr int most_naps = 100;
  static constexpr std::int64_t patience_ns = 100'000'000;
  static constexpr std::int64_t longest_patience_ns = 1'000'000'000;

  state::process_state& state_;
  sys::futex_mutex control_;
  bool ready_ = false;
  unwind::sleeping_stack_room* room_ = nullptr;
  std::shared_ptr<std::vector<std::uintptr_t>> frames_;  // the current dump's
  samplers::stack_request asked_[most_asked];
};
using thread_dumper = basic_thread_dumper<>;

}  // namespace whence::inline v1::dumps

#endif  // WHENCE_DUMPS_THREAD_DUMPER_HPP
