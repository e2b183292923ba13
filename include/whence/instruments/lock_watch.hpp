// SPDX-License-Identifier: Apache-2.0
//
// What stands beside a lock and sees who waits for it, who makes others wait, and for how long it
// is held. It takes and releases the lock through the functions it is given, whatever kind of lock
// that is and however it is shared.
//
//   taken at once    count down to the next hold that is timed              2 instructions
//   taken late       one wait (instruments/wait.hpp), in the lock's queue   `block`, at the taker
//   released         if somebody waited: charge, release, then record       `mutex`, at the release
//                    if the hold is timed: the same                         `mutex_hold`, there too
//
// The stack of a release is taken after it, so that the lock is never held a moment longer for it;
// by then the lock may be gone, and nothing of this object is touched. Never throws of its own.
// `caller` is as unwind::capture wants it: the return address of a function still active.
#ifndef WHENCE_INSTRUMENTS_LOCK_WATCH_HPP
#define WHENCE_INSTRUMENTS_LOCK_WATCH_HPP

#include <bit>
#include <cstdint>
#include <utility>

#include <whence/instruments/countdown.hpp>
#include <whence/instruments/wait.hpp>
#include <whence/instruments/wait_name.hpp>
#include <whence/profile/attach.hpp>
#include <whence/profile/counters.hpp>
#include <whence/profile/lock_holder.hpp>
#include <whence/profile/process_state.hpp>
#include <whence/profile/profile.hpp>
#include <whence/profile/record.hpp>
#include <whence/profile/wait_queue.hpp>
#include <whence/sys/clock.hpp>
#include <whence/sys/random.hpp>

namespace whence::inline v1::instruments {

// `count` events that took `length_ns` each; together a hundred days at most, so that no sum wraps.
inline void record_lock(profile& p, core::event_key key, std::int64_t count, std::int64_t length_ns,
                        const void* caller) noexcept {
  core::process_state* const s = core::state();
  if (s == nullptr) return;
  stack::bucket* const b = core::record_stack(*s, p.rows(), key, caller);
  if (b == nullptr) return;
  constexpr std::int64_t most_ns = std::int64_t{1} << 53;
  b->add(core::contention_counter, count);
  b->add(core::delay_counter, length_ns < most_ns / count ? count * length_ns : most_ns);
}

// R: a profile_registry that is enabled.
template <class R>
class lock_watch {
 public:
  constexpr lock_watch() noexcept = default;
  constexpr explicit lock_watch(const char* name) noexcept : name_(name) {}

  // Whether this hold may be one to time. Requires: the lock is held, by nobody else. The count is
  // the lock's own, because one of the thread's, in another cache line, costs 2 ns more between the
  // atomic instructions of a lock and its unlock; and it is compared with nothing but zero, so that
  // a new rate reaches a lock when its count has run out.
  [[gnu::always_inline]] bool hold_is_due() noexcept {
    if constexpr (times_holds) {
      return --holds_left_ < 0;
    } else {
      return false;
    }
  }

  // Draws anew, and times this hold if it is one to time: whether it is. Requires: as above.
  bool begin_hold() noexcept {
    const core::process_state* const s = core::state();
    const std::int64_t rate = s == nullptr ? 0 : s->hold_rate.load(std::memory_order_relaxed);
    const std::uint32_t drawn_at = std::exchange(hold_rate_, static_cast<std::uint32_t>(rate));
    const auto next = [rate] {
      constexpr std::int64_t look_again = 1000;
      return static_cast<std::int32_t>(rate == 0 ? look_again : rate == 1 ? 0 : draw(rate));
    };
    holds_left_ = next();
    if (drawn_at == 0) {
      // No draw led here. The one just made counts from this hold on.
      if (rate == 0 || holds_left_-- > 0) return false;
      holds_left_ = next();
    }
    timed_rate_ = drawn_at == 0 ? hold_rate_ : drawn_at;
    held_since_ns_ = sys::monotonic_ns();
    queue_.begin_hold();
    return true;
  }

  // Whoever calls has the lock now, and took it where this is inlined.
  [[gnu::always_inline]] void note_holder() noexcept { holder_.note(); }

  // Takes the lock, which somebody else has. `take` tells whether it got it before it gave up,
  // which it does only if it `may_give_up`.
  template <class Take>
  bool take_late(const void* caller, Take take, bool may_give_up) {
    wait w(R::block(), name_.labels(), caller, &queue_, &holder_, may_give_up);
    const bool got = take();
    w.end(got);
    return got;
  }

  // Whether a release is nobody's business.
  bool idle() const noexcept { return queue_.idle(); }

  template <class Release>
  void release(const void* caller, Release release) {
    const bool rests = queue_.resting();
    if (rests && !queue_.holds()) return release();
    const std::int64_t hold = queue_.end_hold() ? sys::monotonic_ns() - held_since_ns_ : -1;
    const std::int64_t hold_rate = timed_rate_;
    const std::int64_t delay = rests ? 0 : queue_.charge(&sys::monotonic_ns);
    const std::uint32_t labels = name_.labels();
    release();
    if (delay > 0) record_delay(delay, labels, caller);
    if constexpr (times_holds) {
      if (hold >= 0) record_hold(hold, hold_rate, labels, caller);
    }
  }

 private:
  static constexpr bool times_holds = requires {
    { R::mutex_hold() } -> std::same_as<profile&>;
  };

  // One in `mutex_fraction` is recorded, and counts for all of them. (Go: runtime.mutexevent)
  static void record_delay(std::int64_t delay, std::uint32_t labels, const void* caller) noexcept {
    const core::process_state* const s = core::state();
    const std::int64_t n = s == nullptr ? 0 : s->mutex_fraction.load(std::memory_order_relaxed);
    if (n <= 0 || (n > 1 && sys::random_bits() % static_cast<std::uint64_t>(n) != 0)) return;
    const auto power = std::bit_floor(static_cast<std::uint64_t>(delay));
    record_lock(R::mutex(), {power, 0, labels}, n, delay, caller);
  }

  // A hold sampled at rate n is one of 1 / (1 - exp(-1/n)).
  static void record_hold(std::int64_t hold, std::int64_t rate, std::uint32_t labels,
                          const void* caller) noexcept {
    const double weight = rate <= 1 ? 1 : -1 / __builtin_expm1(-1 / static_cast<double>(rate));
    record_lock(R::mutex_hold(), {0, 0, labels}, sys::round_randomly(weight), hold, caller);
  }

  // What every lock touches comes first, to share the lock's own cache line.
  core::lock_holder holder_;
  std::int32_t holds_left_ = 0;
  std::uint32_t hold_rate_ = 0;  // by which they were drawn; 0: not drawn
  [[no_unique_address]] core::wait_queue queue_;
  std::uint32_t timed_rate_ = 0;    // of the hold that is timed
  std::int64_t held_since_ns_ = 0;  // the same
  wait_name<"lock"> name_;
};

// The same for a registry that records nothing.
struct no_watch {
  constexpr no_watch() noexcept = default;
  constexpr explicit no_watch(const char*) noexcept {}
  static constexpr bool hold_is_due() noexcept { return false; }
  static constexpr void note_holder() noexcept {}
  static constexpr bool begin_hold() noexcept { return false; }
  static constexpr bool idle() noexcept { return true; }
  template <class Take>
  static bool take_late(const void*, Take take, bool) {
    return take();
  }
  template <class Release>
  static void release(const void*, Release release) {
    release();
  }
};

}  // namespace whence::inline v1::instruments

#endif  // WHENCE_INSTRUMENTS_LOCK_WATCH_HPP
