// SPDX-License-Identifier: Apache-2.0
//
// What the environment asks of a process, from before main to its end.
//
//   constructor ─> begin():  settings, windows, server, one thread for signals and schedule
//   fork        ─> child:    nothing is started; what was inherited is forgotten
//   later       ─> tend():   starts the same in the child, once it has worked enough
//   ways out    ─> finish(), before_exec()
//
// A thread, a handler and a port exist only if a variable asks for them. In a child of fork they
// begin again after 64 samples of memory, or at a sample after 50 ms of CPU time: most children
// exec or end before. Never in the handler of fork, where a daemon has not left its parent yet.
//
// One object, never destroyed, since threads run while the process ends. All its work is inside the
// library, so that no profile shows it (sys/inside_library.hpp).
#ifndef WHENCE_ENVIRONMENT_AGENT_HPP
#define WHENCE_ENVIRONMENT_AGENT_HPP

#include <pthread.h>
#include <signal.h>
#include <sys/types.h>
#include <unistd.h>

#include <atomic>
#include <cstdint>
#include <new>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include <whence/environment/files.hpp>
#include <whence/environment/in_handler.hpp>
#include <whence/environment/listener.hpp>
#include <whence/environment/roomy_stack.hpp>
#include <whence/environment/variables.hpp>
#include <whence/samplers/cpu_sampler.hpp>
#include <whence/samplers/library_threads.hpp>
#include <whence/serve/worker_pool.hpp>
#include <whence/state/attach.hpp>
#include <whence/sys/cancel_guard.hpp>
#include <whence/sys/catch_error.hpp>
#include <whence/sys/clock.hpp>
#include <whence/sys/errno_guard.hpp>
#include <whence/sys/futex_mutex.hpp>
#include <whence/sys/inside_library.hpp>
#include <whence/sys/known_file.hpp>
#include <whence/sys/service_thread.hpp>

namespace whence::inline v1::environment {

class agent {
 public:
  // nullptr if the environment asks for nothing.
  static agent* get() noexcept { return the_.load(std::memory_order_acquire); }

  agent(settings asked, std::string started)
      : asked_(std::move(asked)), started_(std::move(started)), files_(asked_, started_) {}
  agent(const agent&) = delete;
  agent& operator=(const agent&) = delete;

  // Called once, before main.
  static void begin(agent* it) {
    it->process_.store(::getpid());
    the_.store(it, std::memory_order_release);
    ::pthread_atfork(nullptr, nullptr, [] { get()->after_fork_in_child(); });
    for (const int number : it->asked_.signals) it->install(number);
    it->start();
  }

  // The last files of this process, once. Called by destructors and by _exit.
  void finish() noexcept {
    if (!is_own_process() || !follows_this()) return;
    const sys::errno_guard keep;
    is_ending_.store(true);
    listener_.end();
    if (!files_.has_anything() || is_unsafe_here()) return;
    const sys::cancel_guard uncancelled;
    const sys::inside_scope inside;
    const turn mine(*this);
    if (!mine || std::exchange(is_finished_, true)) return;
    write("at the end", true);
  }

  // Called before exec, which keeps the process but nothing of ours. A child of vfork shares this
  // memory with its parent, whose number it does not have.
  void before_exec() noexcept {
    if (!is_own_process()) return;
    const sys::errno_guard keep;
    const sys::cancel_guard uncancelled;
    const bool has_worked = !is_child_ || is_armed_.load(std::memory_order_relaxed) || is_due();
    const bool writes = has_worked && follows_this() && files_.has_anything() && !is_unsafe_here();
    const sys::inside_scope inside;
    if (writes) {
      const turn mine(*this);
      if (mine && !is_finished_) write("before exec", false);
    }
    listener_.before_exec();
    samplers::cpu_sampler::pause(state::attached());
  }
  void after_failed_exec() noexcept {
    if (!is_own_process()) return;
    const sys::errno_guard keep;
    const sys::inside_scope inside;
    samplers::cpu_sampler::resume(state::attached());
    (void)sys::catch_error([&] {
      listener_.after_failed_exec();
      return std::error_code{};
    });
  }

 private:
  static constexpr std::int64_t idle_ns = std::int64_t{3600} * 1'000'000'000;
  static constexpr int samples_until_armed = 64;
  static constexpr std::int64_t cpu_until_armed_ns = 50'000'000;

  // One thread writes at a time. A signal handler that ends the process may interrupt that thread:
  // then there is no turn.
  class turn {
   public:
    explicit turn(agent& of) noexcept : of_(of) {
      const ::pid_t self = ::gettid();
      if (of_.writer_.load(std::memory_order_relaxed) == self) return;
      of_.writing_.lock();
      of_.writer_.store(self, std::memory_order_relaxed);
      has_ = true;
    }
    ~turn() {
      if (!has_) return;
      of_.writer_.store(0, std::memory_order_relaxed);
      of_.writing_.unlock();
    }
    turn(const turn&) = delete;
    turn& operator=(const turn&) = delete;
    explicit operator bool() const noexcept { return has_; }

   private:
    agent& of_;
    bool has_ = false;
  };

  bool is_own_process() const noexcept { return process_.load() == ::getpid(); }
  bool follows_this() const noexcept { return !is_child_ || asked_.follows_forks; }
  bool needs_thread() const noexcept { return asked_.every_s > 0 || !asked_.signals.empty(); }

  // ---- what is started

  // Starts all that is asked for. If the system refuses something, the rest goes on.
  void start() {
    is_armed_.store(true, std::memory_order_relaxed);
    const std::error_code failed = sys::catch_error([&] {
      files_.open_windows();
      if (asked_.serves) {
        say("whence: " +
            listener_.start(asked_, {.program = asked_.program,
                                     .started = started_,
                                     .kind = {},
                                     .process = ::getpid(),
                                     .sequence = 1}) +
            '\n');
      }
      if (needs_thread()) start_thread();
      return std::error_code{};
    });
    if (failed) say("whence: cannot start: " + failed.message() + '\n');
    if (files_.has_windows() || asked_.serves) watch_samples();
  }

  // The sampler of CPU time has no thread of its own in some programs.
  void watch_samples() noexcept { state::attached().samplers.after_sample.store(&tend); }

  // ---- signals and the schedule

  void start_thread() {
    thread_ = new sys::service_thread;
    const auto body = [](void* self) {
      const serve::own_thread_scope ours;
      const sys::inside_scope inside;
      static_cast<agent*>(self)->run();
    };
    const int error = samplers::library_threads::start(*thread_, body, this, "whence-files");
    if (error == 0) {
      // A signal may have come before.
      if (came_.load() != 0) thread_->rouse();
      return;
    }
    delete std::exchange(thread_, nullptr);
    say("whence: cannot start a thread: " + sys::errno_code(error).message() + '\n');
  }

  void run() noexcept {
    const std::int64_t period = asked_.every_s > 0 ? asked_.every_s * 1'000'000'000 : idle_ns;
    std::int64_t next = sys::monotonic_ns() + period;
    while (thread_->sleep_until(next)) {
      const std::uint64_t came = came_.exchange(0);
      const bool is_turn = asked_.every_s > 0 && sys::monotonic_ns() >= next;
      if (came != 0 || is_turn) {
        const turn mine(*this);
        if (is_finished_) return;  // the process is ending
        std::vector<std::string> written = write(came != 0 ? "by signal" : "by schedule", false);
        if (came == 0) {
          (void)sys::catch_error([&] {
            files_.rotate(std::move(written));
            return std::error_code{};
          });
        }
      }
      const std::uint64_t ends = came & ends_process_;
      if (ends != 0) end_by(__builtin_ctzll(ends));
      // Turns that were missed, in a process that was stopped, say, are not made up for: their
      // files would be alike, and rotate away those that are not.
      if (const std::int64_t late = sys::monotonic_ns() - next; late >= 0) {
        next += (late / period + 1) * period;
      }
    }
  }

  static std::uint64_t bit_of(int number) noexcept { return std::uint64_t{1} << (number & 63); }

  // The signals that end a process go on to do so, unless the program has a handler of its own for
  // them: that one replaces ours.
  void install(int number) noexcept {
    if (number == SIGTERM || number == SIGINT || number == SIGHUP || number == SIGQUIT) {
      struct sigaction before {};
      if (::sigaction(number, nullptr, &before) != 0 || before.sa_handler != SIG_DFL) return;
      ends_process_ |= bit_of(number);
    }
    struct sigaction ours {};
    ours.sa_handler = &on_signal;
    ours.sa_flags = SA_RESTART | SA_ONSTACK;
    ::sigfillset(&ours.sa_mask);
    ::sigaction(number, &ours, nullptr);
  }

  static void on_signal(int number) {
    const sys::errno_guard keep;
    agent& me = *get();
    const bool is_served = me.is_own_process() && me.is_armed_.load() && me.thread_ != nullptr;
    if ((me.ends_process_ & bit_of(number)) != 0 && !is_served) return end_by(number);
    me.came_.fetch_or(bit_of(number));
    if (is_served) me.thread_->rouse();
  }

  // Signal-safe.
  static void end_by(int number) noexcept {
    struct sigaction otherwise {};
    otherwise.sa_handler = SIG_DFL;
    ::sigaction(number, &otherwise, nullptr);
    ::kill(::getpid(), number);
  }

  // ---- files

  std::vector<std::string> write(const char* when, bool is_last) noexcept {
    std::vector<std::string> written;
    const bool has_stack = call_on_roomy_stack([&] { written = write_here(when, is_last); });
    if (!has_stack) say("whence: no files: the stack is small, and no thread can be started\n");
    return written;
  }

  std::vector<std::string> write_here(const char* when, bool is_last) noexcept {
    std::vector<std::string> written, problems;
    (void)sys::catch_error([&] {
      written = files_.write(problems, is_last);
      if (!asked_.verbose) return std::error_code{};
      for (const std::string& line : problems) say(line);
      for (const std::string& name : written) {
        say(std::string("whence: wrote ") + when + ' ' + name + '\n');
      }
      return std::error_code{};
    });
    return written;
  }

  // Only the stderr that the process was started with: its number may be another file's by now.
  void say(const std::string& line) const noexcept {
    if (!asked_.verbose || !stderr_.is_at(STDERR_FILENO)) return;
    [[maybe_unused]] const auto n = ::write(STDERR_FILENO, line.data(), line.size());
  }

  // ---- fork

  void after_fork_in_child() noexcept {
    // A child of fork in a child of vfork, which changed nothing here, is the same to us.
    process_.store(::getpid());
    is_child_ = true;
    is_finished_ = false;
    is_ending_.store(false);
    is_armed_.store(false, std::memory_order_relaxed);
    is_arming_.store(false, std::memory_order_relaxed);
    samples_.store(0, std::memory_order_relaxed);
    new (&writing_) sys::futex_mutex;
    writer_.store(0, std::memory_order_relaxed);
    came_.store(0, std::memory_order_relaxed);
    files_.forget_parent();
    thread_ = nullptr;
    listener_.after_fork_in_child();
    const bool arms =
        asked_.follows_forks && (needs_thread() || asked_.serves || asked_.writes(output::cpu) ||
                                 asked_.writes(output::wall));
    state::attached().samplers.after_sample.store(arms ? &tend : nullptr);
  }

  bool is_due() const noexcept {
    return samples_.load(std::memory_order_relaxed) >= samples_until_armed ||
           sys::clock_ns(CLOCK_PROCESS_CPUTIME_ID) >= cpu_until_armed_ns;
  }

  // Called after a block is sampled, in the thread that allocates.
  static void tend(state::process_state& s) noexcept {
    agent& me = *get();
    // The destructors of libraries, which come after ours, allocate as well.
    if (!me.is_own_process() || me.is_ending_.load(std::memory_order_relaxed)) return;
    const sys::errno_guard keep;
    const sys::inside_scope inside;
    if (me.is_armed_.load(std::memory_order_relaxed)) return samplers::cpu_sampler::tend(s);
    me.samples_.fetch_add(1, std::memory_order_relaxed);
    if (!me.is_due() || me.is_arming_.exchange(true)) return;
    const sys::cancel_guard uncancelled;
    me.start();
  }

  static inline constinit std::atomic<agent*> the_{nullptr};

  const settings asked_;
  const std::string started_;
  files files_;
  const sys::known_file stderr_{STDERR_FILENO};
  std::atomic<::pid_t> process_{0};  // in which this was made, or which a fork has made since
  std::atomic<bool> is_armed_{false}, is_arming_{false}, is_ending_{false};
  std::atomic<int> samples_{0};
  bool is_child_ = false;
  bool is_finished_ = false;  // guarded by writing_
  sys::futex_mutex writing_;
  std::atomic<::pid_t> writer_{0};
  listener listener_;
  sys::service_thread* thread_ = nullptr;
  std::atomic<std::uint64_t> came_{0};  // signals not yet answered
  std::uint64_t ends_process_ = 0;
};

}  // namespace whence::inline v1::environment

#endif  // WHENCE_ENVIRONMENT_AGENT_HPP
