// SPDX-License-Identifier: Apache-2.0
//
// The common part of all samplers' sessions: a window from construction to stop(), or to the moment
// of snapshot().
//
// Sampler:  static Sampler* get(process_state&)                 the one of the process
//           static tables::sample_epochs& epochs(process_state&)        where it counts
//           static bool is_current(process_state&, Sampler*)    false in a child of fork
//           static constexpr instruments::kind kind
//           begin(rate_request&), end(rate_request&)            a session
//           settle()                                            counts what it knows by now
//           complete(snapshot, from, to, rate_request)          what only it knows
#ifndef WHENCE_SAMPLERS_SESSION_HPP
#define WHENCE_SAMPLERS_SESSION_HPP

#include <cstdint>
#include <new>
#include <stdexcept>
#include <string>
#include <system_error>
#include <utility>

#include <whence/core/kinds.hpp>
#include <whence/samplers/library_threads.hpp>
#include <whence/samplers/requested_rates.hpp>
#include <whence/samplers/window.hpp>
#include <whence/snapshots/profile_header.hpp>
#include <whence/snapshots/snapshot.hpp>
#include <whence/state/attach.hpp>
#include <whence/state/process_state.hpp>
#include <whence/sys/cancel_guard.hpp>
#include <whence/sys/clock.hpp>
#include <whence/sys/throw_or_abort.hpp>

namespace whence::inline v1::samplers {

inline constexpr int highest_hz = 10'000;

struct moment {
  std::int64_t wall_ns, monotonic_ns, process_ns, own_ns;  // own: the samplers' threads

  static moment now(const state::process_state& s) noexcept {
    const library_threads* const own = s.samplers.own.load(std::memory_order_acquire);
    return {sys::wall_time_ns(), sys::monotonic_ns(), sys::clock_ns(CLOCK_PROCESS_CPUTIME_ID),
            own == nullptr ? 0 : own->cpu_ns()};
  }
};

template <class Sampler>
class session {
 public:
  // Throws: std::invalid_argument if hz is out of range; std::bad_alloc. If the system refuses a
  // thread or handler, there are no samples, and error() says why.
  explicit session(int hz) : request_{checked(hz)} {
    const sys::cancel_guard uncancelled;
    state::process_state& s = state::attached();
    sampler_ = Sampler::get(s);
    if (sampler_ == nullptr) sys::throw_or_abort<std::bad_alloc>();
    sampler_->settle();  // what other sessions wait for began before this one
    begin_ = moment::now(s);
    window_ = new window(Sampler::epochs(s));
    error_ = window_->is_open() ? sampler_->begin(request_)
                                : std::make_error_code(std::errc::not_enough_memory);
  }
  ~session() {
    const sys::cancel_guard uncancelled;
    leave();
  }
  session(const session&) = delete;
  session& operator=(const session&) = delete;

  // The reason if sampling could not begin, otherwise no error.
  std::error_code error() const noexcept { return error_; }

  // Ends the window and keeps its counts. Later calls do nothing. Throws: std::bad_alloc.
  void stop() {
    if (window_ == nullptr) return;
    const sys::cancel_guard uncancelled;
    const struct ending {
      session& s;
      ~ending() { s.leave(); }
    } even_if_it_throws{*this};
    ended_ = take();
  }

  // The window until now, or until stop(). Throws: std::bad_alloc.
  profile_snapshot snapshot() const {
    const sys::cancel_guard uncancelled;
    return window_ == nullptr ? ended_ : take();
  }

 private:
  static int checked(int hz) {
    if (hz < 1 || hz > highest_hz) {
      sys::throw_or_abort<std::invalid_argument>("session: hz is " + std::to_string(hz) +
                                                 ", not 1 to 10000");
    }
    return hz;
  }

  bool is_mine() const noexcept { return Sampler::is_current(state::attached(), sampler_); }

  // A child of fork has neither the sampler nor its epochs.
  void leave() noexcept {
    if (window_ == nullptr) return;
    if (!is_mine()) {
      window_->abandon();
    } else if (!error_) {
      sampler_->end(request_);
    }
    delete std::exchange(window_, nullptr);
  }

  profile_snapshot take() const {
    state::process_state& s = state::attached();
    if (!error_ && is_mine()) sampler_->settle();
    const moment end = moment::now(s);
    profile_snapshot result;
    result.header.name = core::info(Sampler::kind).name;
    result.header.kind = Sampler::kind;
    result.header.period = 1'000'000'000 / request_.hz;
    result.header.time_ns = begin_.wall_ns;
    result.header.duration_ns = end.monotonic_ns - begin_.monotonic_ns;
    result.header.comments = snapshots::comments(s);
    if (!is_mine()) {
      result.header.comments.push_back(
          "the session is the parent process's: its samples stay there");
      return result;
    }
    window_->add_to(result, Sampler::kind, s.labels, s.budget.snapshots);
    sampler_->complete(result, begin_, end, request_);
    return result;
  }

  rate_request request_;
  Sampler* sampler_ = nullptr;
  moment begin_{};
  window* window_ = nullptr;
  std::error_code error_;
  profile_snapshot ended_;
};

}  // namespace whence::inline v1::samplers

#endif  // WHENCE_SAMPLERS_SESSION_HPP
