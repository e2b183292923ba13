// SPDX-License-Identifier: Apache-2.0
//
// CPU profiles: the functions in which the process spends its processor time, all threads together,
// user and system time alike.
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
// with that time. Threads that sleep are never interrupted. The sum is the process's CPU time: time
// that no sample explains (threads too short to be seen, page faults above the kernel's tick rate)
// is the row `[unsampled]`, and the time of the sampler's own thread is the row `[profiler]`.
//
//   samples/count     stacks taken
//   cpu/nanoseconds   the time they stand for
//
// SIGPROF is shared with the program: signals that are not the library's go to the handler that the
// program had. A program that installs a handler during a session takes the samples away, and the
// profile says so. A thread that blocks SIGPROF, as programs do that wait for signals in sigwait,
// signalfd or ppoll, is sent none: its time is `[unsampled]`, and the profile counts such threads;
// one that begins to block it during a session may meet one more. If a program sets SIG_DFL, the
// library's handler is put back within 10 ms; a sample before that kills, for the kernel sends it
// without a question: so stop sessions first. Handlers run on a thread's alternate stack if it has
// one. It needs room for what the kernel puts there (sysconf(_SC_MINSIGSTKSZ); with less, any
// signal kills) and 5 KiB; with less, the sample is lost, and counted in a comment. A child of fork
// has no session; those it inherited count nothing.
//
// If a thread cannot have a timer (RLIMIT_SIGPENDING), the process's ITIMER_PROF serves it, and the
// profile says so. The kernel delivers that signal to any thread that does not block it, so a sleep
// may end with EINTR, and the timer outlives exec: stop before it. Above the kernel's tick rate,
// stop also before an exec with SIGPROF blocked: a signal that is pending then is delivered to the
// new program.
//
// Thread-safe; not for signal handlers. Cost while a session runs: below 1 % at 100 Hz; above the
// kernel's tick rate (250 Hz, mostly) some 20 us a sample in virtual machines.
#ifndef WHENCE_CPU_HPP
#define WHENCE_CPU_HPP

#include <whence/config.hpp>

#include <memory>
#include <system_error>

#include <whence/errc.hpp>
#include <whence/format/sink.hpp>
#include <whence/instruments/recorder.hpp>
#include <whence/names.hpp>
#include <whence/snapshots/snapshot.hpp>

namespace whence::inline v1 {

namespace samplers {
template <class Sampler>
class session;
class cpu_sampler;
}  // namespace samplers

struct cpu_options {
  int hz = 100;  // samples for each second of a thread's CPU time, 1 to 10000
};

// A window of time, from construction to stop(), or to the moment at which it is read. Its member
// functions are for one thread at a time.
class cpu_session {
 public:
  // If the system refuses a thread or a handler, there are no samples, and error() says why.
  // Throws: std::invalid_argument for an hz out of range; std::bad_alloc.
  WHENCE_LAZY explicit cpu_session(cpu_options options = {});
  ~cpu_session();
  cpu_session(const cpu_session&) = delete;
  cpu_session& operator=(const cpu_session&) = delete;

  // The reason for which sampling could not begin, or no error.
  WHENCE_LAZY std::error_code error() const noexcept;

  // Ends the window; what was counted until now stays. A second call does nothing. Throws:
  // std::bad_alloc.
  WHENCE_LAZY void stop();

  // What the window has counted so far. Throws: std::bad_alloc.
  WHENCE_LAZY profile_snapshot snapshot() const;

  // Writes what the window has counted so far as gzip-compressed profile.proto with symbols.
  // Returns the error of the write, or error().
  WHENCE_LAZY [[nodiscard]] std::error_code write_to(sink out, write_options options = {}) const;

 private:
  // A pointer deletes it, so that only a program that makes a session compiles one.
  using own_session = samplers::session<samplers::cpu_sampler>;
  const std::unique_ptr<own_session, void (*)(own_session*)> it_;
};

// Begins a CPU profile of the process, which stop_cpu_profile writes to `out`. Returns
// errc::already_profiling if one runs, which goes on undisturbed, or the system's error if sampling
// cannot begin. Throws: as cpu_session. (Go: pprof.StartCPUProfile)
WHENCE_LAZY [[nodiscard]] std::error_code start_cpu_profile(sink out, cpu_options options = {});

// Ends the profile that start_cpu_profile began. It returns when the profile is written, with the
// error of the write, or success if no profile runs. (Go: pprof.StopCPUProfile)
WHENCE_LAZY std::error_code stop_cpu_profile();

}  // namespace whence::inline v1

#ifndef WHENCE_COMPILED
#include <whence/impl/cpu.ipp>
#endif

#endif  // WHENCE_CPU_HPP
