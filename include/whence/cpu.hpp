// SPDX-License-Identifier: Apache-2.0
//
// CPU profiles: where the process spends its processor time, all threads together, user and system
// time alike.
//
//   if (auto error = whence::start_cpu_profile("cpu.pb.gz")) ...      // as Go's StartCPUProfile
//   work();
//   if (auto error = whence::stop_cpu_profile()) ...
//
//   whence::cpu_session window({.hz = 1000});                         // any number at once
//   work();
//   if (auto error = window.write_to("window.pb.gz")) ...
//
//   $ go tool pprof -top cpu.pb.gz
//
// Each thread is interrupted by SIGPROF after every 1/hz of its CPU time, and its stack is counted
// with that time. Threads that sleep are never interrupted. The sum is the process's CPU time: what
// no sample explains (threads too short to be seen, page faults above the kernel's tick rate) is
// one row `[unsampled]`, what the sampler's own thread took one row `[profiler]`.
//
//   samples/count     stacks taken
//   cpu/nanoseconds   the time they stand for
//
// SIGPROF is shared with the program: signals that are not ours go to the handler it had, and a
// program that installs one during a session takes the samples away, which the profile then says.
// One that puts SIG_DFL there is killed by the next sample, and one that waits for SIGPROF in
// sigwait is given ours. Handlers run on a thread's alternate stack where it has one, which then
// needs room for what the kernel puts there (sysconf(_SC_MINSIGSTKSZ)) and 4 KiB: with less, any
// such signal kills. A child of fork has no session; those it inherited count nothing.
//
// Where a thread can have no timer (RLIMIT_SIGPENDING), the process's ITIMER_PROF serves it, and
// the profile says so. That one the kernel gives to whoever takes signals, so a sleep may end with
// EINTR, and it outlives exec: stop before it. Above the kernel's tick rate, stop also before an
// exec with SIGPROF blocked: a signal that is pending then is the new program's.
//
// Thread-safe; not for signal handlers. Cost while a session runs: below 1 % at 100 Hz; above the
// kernel's tick rate (250 Hz, mostly) some 20 us a sample in virtual machines.
#ifndef WHENCE_CPU_HPP
#define WHENCE_CPU_HPP

#include <whence/config.hpp>

#include <memory>
#include <system_error>
#include <utility>

#include <whence/errc.hpp>
#include <whence/format/profile_writer.hpp>
#include <whence/format/sink.hpp>
#include <whence/profile/attach.hpp>
#include <whence/profile/process_state.hpp>
#include <whence/samplers/cpu_sampler.hpp>
#include <whence/samplers/session.hpp>
#include <whence/sys/as_error.hpp>
#include <whence/sys/no_cancel.hpp>

namespace whence::inline v1 {

struct cpu_options {
  int hz = 100;  // samples for each second of a thread's CPU time, 1 to 10000
};

// The CPU time from its construction to stop(), or to the moment it is asked; error(), stop() and
// snapshot() are told in samplers/session.hpp. Its member functions: one thread at a time.
class cpu_session : public samplers::session<samplers::cpu_sampler> {
 public:
  // Throws: std::invalid_argument for an hz out of range; std::bad_alloc.
  explicit cpu_session(cpu_options options = {}) : session(options.hz) {}

  // Writes the window, as far as it goes, as gzip-compressed profile.proto with symbols. The error
  // of the write, or error().
  [[nodiscard]] std::error_code write_to(sink out) const {
    const sys::no_cancel uncancelled;
    return error() ? error() : format::write_proto(out, snapshot());
  }
};

namespace samplers {

// What start_cpu_profile began. By a function, because another module may be the one to stop it.
struct running_profile {
  running_profile(sink to, cpu_options options) : out(std::move(to)), session(options) {}

  sink out;
  cpu_session session;
  std::error_code (*finish)(running_profile*) = [](running_profile* p) {
    const std::unique_ptr<running_profile> ended(p);
    return sys::as_error([&] {
      p->session.stop();
      return p->session.write_to(std::move(p->out));
    });
  };
};

}  // namespace samplers

// Begins a CPU profile of the process, which stop_cpu_profile writes to `out`.
// Returns errc::already_profiling where one runs, which goes on undisturbed; the system's error
// where sampling cannot begin. Throws: as cpu_session. (Go: pprof.StartCPUProfile)
[[nodiscard]] inline std::error_code start_cpu_profile(sink out, cpu_options options = {}) {
  const sys::no_cancel uncancelled;
  core::process_state* const s = core::state();
  if (s == nullptr) return std::make_error_code(std::errc::not_enough_memory);
  if (s->samplers.cpu_profile.load(std::memory_order_acquire) != nullptr) {
    return errc::already_profiling;
  }
  auto* const mine = new samplers::running_profile(std::move(out), options);
  std::error_code error = mine->session.error();
  samplers::running_profile* none = nullptr;
  if (!error && !s->samplers.cpu_profile.compare_exchange_strong(none, mine)) {
    error = errc::already_profiling;
  }
  if (error) delete mine;
  return error;
}

// Ends the profile that start_cpu_profile began, and returns once it is written, with the write's
// error; success where none runs. (Go: pprof.StopCPUProfile)
inline std::error_code stop_cpu_profile() {
  const sys::no_cancel uncancelled;
  core::process_state* const s = core::state();
  samplers::running_profile* const it =
      s == nullptr ? nullptr : s->samplers.cpu_profile.exchange(nullptr);
  return it == nullptr ? std::error_code{} : it->finish(it);
}

}  // namespace whence::inline v1

#endif  // WHENCE_CPU_HPP
