// SPDX-License-Identifier: Apache-2.0
//
// Wall-clock profiles: where all threads are, running or waiting, by time.
//
//   whence::wall_session window;
//   work();
//   if (auto error = window.write_to("wall.pb.gz")) ...
//
//   $ go tool pprof -top wall.pb.gz
//   $ go tool pprof -top -tagfocus=state=running wall.pb.gz
//
// At one random moment of each period every thread is looked at, and the period is counted where it
// is, with the label
//
//   state=running    on a processor, or ready for one
//   state=waiting    asleep: in poll, a lock, a sleep ...
//   state=disk       asleep in what cannot be interrupted, mostly a disk
//
// A sleeping thread is not woken: the kernel tells where it sleeps, and its stack is read. A
// running one is asked by SIGPROF, as by cpu.hpp, never in a system call.
//
//   samples/count       looks
//   time/nanoseconds    the time they stand for            (the names of fgprof)
//
// Thread-safe; not for signal handlers. Cost while a session runs: at most a fiftieth of a
// processor; with more threads than can be looked at in that, a random part of them counts for all.
#ifndef WHENCE_WALL_HPP
#define WHENCE_WALL_HPP

#include <whence/config.hpp>

#include <memory>
#include <system_error>

#include <whence/format/sink.hpp>
#include <whence/instruments/recorder.hpp>
#include <whence/names.hpp>
#include <whence/profile/snapshot.hpp>

namespace whence::inline v1 {

namespace samplers {
template <class Sampler>
class session;
class wall_sampler;
}  // namespace samplers

struct wall_options {
  int hz = 99;  // looks a second, 1 to 10000
};

// The time from its construction to stop(), or to the moment it is asked. Its member
// functions: one thread at a time.
class wall_session {
 public:
  // Where the system gives no thread or handler, there are no samples, and error() says why.
  // Throws: std::invalid_argument for an hz out of range; std::bad_alloc.
  explicit wall_session(wall_options options = {});
  ~wall_session();
  wall_session(const wall_session&) = delete;
  wall_session& operator=(const wall_session&) = delete;

  // Whether sampling could begin.
  std::error_code error() const noexcept;

  // Ends the window; what was counted until now stays. The second time it does nothing.
  // Throws: std::bad_alloc.
  void stop();

  // The window, as far as it goes. Throws: std::bad_alloc.
  profile_snapshot snapshot() const;

  // Writes the window, as far as it goes, as gzip-compressed profile.proto with symbols. The error
  // of the write, or error().
  [[nodiscard]] std::error_code write_to(sink out, write_options options = {}) const;

 private:
  const std::unique_ptr<samplers::session<samplers::wall_sampler>> it_;
};

}  // namespace whence::inline v1

#ifndef WHENCE_COMPILED
#include <whence/impl/wall.ipp>
#endif

#endif  // WHENCE_WALL_HPP
