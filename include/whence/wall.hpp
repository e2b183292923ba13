// SPDX-License-Identifier: Apache-2.0
//
// Wall-clock profiles: where the time of all threads goes, whether they run or wait.
//
//   whence::wall_session window;
//   work();
//   if (auto error = window.write_to("wall.pb.gz")) ...
//
//   $ go tool pprof -top wall.pb.gz
//   $ go tool pprof -top -tagfocus=state=running wall.pb.gz
//
// At a random moment of each period every thread is looked at, and the period is counted at its
// current stack, with the label
//
//   state=running    on a processor, or ready for one
//   state=waiting    asleep: in poll, a lock, a sleep ...
//   state=disk       asleep and not interruptible, mostly for a disk
//
// A sleeping thread is not woken: the kernel tells the instruction at which it sleeps, and its
// stack is read. A running thread is asked by SIGPROF, as in cpu.hpp, and never in a system call.
// If a program sets SIG_DFL, the next look puts the library's handler back before it asks; only an
// answer that was asked for before, and comes before that look, kills.
//
//   samples/count       looks
//   time/nanoseconds    the time they stand for            (the names of fgprof)
//
// Thread-safe; not for signal handlers. Cost while a session runs: at most a fiftieth of a
// processor; if that does not suffice to look at all threads, a random part of them counts for all.
#ifndef WHENCE_WALL_HPP
#define WHENCE_WALL_HPP

#include <whence/config.hpp>

#include <memory>
#include <system_error>

#include <whence/format/sink.hpp>
#include <whence/instruments/recorder.hpp>
#include <whence/names.hpp>
#include <whence/snapshots/snapshot.hpp>

namespace whence::inline v1 {

namespace samplers {
template <class Sampler>
class session;
class wall_sampler;
}  // namespace samplers

struct wall_options {
  int hz = 99;  // looks a second, 1 to 10000
};

// A window of time, from construction to stop(), or to the moment at which it is read. Its member
// functions are for one thread at a time.
class wall_session {
 public:
  // If the system refuses a thread or a handler, there are no samples, and error() says why.
  // Throws: std::invalid_argument for an hz out of range; std::bad_alloc.
  WHENCE_LAZY explicit wall_session(wall_options options = {});
  ~wall_session();
  wall_session(const wall_session&) = delete;
  wall_session& operator=(const wall_session&) = delete;

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
  using own_session = samplers::session<samplers::wall_sampler>;
  const std::unique_ptr<own_session, void (*)(own_session*)> it_;
};

}  // namespace whence::inline v1

#ifndef WHENCE_COMPILED
#include <whence/impl/wall.ipp>
#endif

#endif  // WHENCE_WALL_HPP
