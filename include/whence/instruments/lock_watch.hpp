// SPDX-License-Identifier: Apache-2.0
//
// The part beside a lock that sees which threads wait for it, which thread makes them wait, and for
// how long it is held. It takes and releases the lock through the functions it is given, whatever
// kind of lock that is and however it is shared.
//
//   taken at once    count down to the next hold that is timed         2 instructions
//   taken late       one wait (wait.hpp), in the lock's queue          `block`, at the taker
//   released         if others waited: charge, release, then record    `mutex`, at the release
//                    if the hold is timed: the same                    `mutex_hold`, there too
//
// The stack of a release is taken after it, so that the lock is never held a moment longer for it.
// The lock may be destroyed by then, and nothing of this object is touched. It throws only what the
// given functions throw. `caller` is as the recorder wants it.
#ifndef WHENCE_INSTRUMENTS_LOCK_WATCH_HPP
#define WHENCE_INSTRUMENTS_LOCK_WATCH_HPP

#include <concepts>
#include <cstdint>
#include <string_view>

#include <whence/instruments/lock_words.hpp>
#include <whence/instruments/recorder.hpp>
#include <whence/instruments/wait.hpp>
#include <whence/names.hpp>

namespace whence::inline v1::instruments {

// R: a profile_registry that is enabled.
template <class R>
class lock_watch {
 public:
  constexpr lock_watch() noexcept = default;
  constexpr explicit lock_watch(std::string_view name) noexcept : words_(name) {}

  // True if this hold may have to be timed. Requires: the caller holds the lock, alone. The count
  // belongs to the lock, because a count of the thread, in another cache line, costs 2 ns more
  // between the atomic instructions of a lock and its unlock. It is compared only with zero, so
  // that a new rate reaches a lock when its count has run out.
  [[gnu::always_inline]] bool hold_is_due() noexcept {
    if constexpr (times_holds) {
      return --words_.holds_left < 0;
    } else {
      return false;
    }
  }

  // Draws anew, and times this hold if its turn has come: true if so. Requires: as above.
  bool begin_hold() noexcept {
    if (const recorder* const r = recorder_here()) return r->begin_hold(words_);
    words_.holds_left = lock_words::look_again;
    return false;
  }

  // Requires: the caller holds the lock. Inlined, so that pc and sp are the taker's.
  [[gnu::always_inline]] void note_holder() noexcept { words_.holder.note(); }

  // Takes the lock, which another thread holds. `take` returns false if it gave up, which it may do
  // only if `may_give_up` is true.
  template <class Take>
  bool take_late(const void* caller, Take take, bool may_give_up) {
    wait w(R::block(), 0, caller, &words_, may_give_up);
    const bool got = take();
    w.end(got);
    return got;
  }

  // True if a release needs no accounting.
  bool idle() const noexcept { return words_.queue.idle(); }

  template <class Release>
  void release(const void* caller, Release release) {
    const recorder* const r = recorder_here();
    if (r == nullptr) return release();
    const ended_hold ended = r->charge(words_);
    release();
    if (ended.delay_ns > 0) r->record_delay(R::mutex(), ended, caller);
    if constexpr (times_holds) {
      if (ended.held_ns >= 0) r->record_hold(R::mutex_hold(), ended, caller);
    }
  }

 private:
  static constexpr bool times_holds = requires {
    { R::mutex_hold() } -> std::same_as<profile&>;
  };

  lock_words words_;
};

// The variant for a registry that records nothing.
struct no_watch {
  constexpr no_watch() noexcept = default;
  constexpr explicit no_watch(std::string_view) noexcept {}
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
