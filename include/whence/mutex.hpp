// SPDX-License-Identifier: Apache-2.0
//
// tracked_mutex: a mutex that shows which calls waited for it, and which made them wait.
//
//   whence::tracked_mutex<> m;                                  // a std::mutex
//   whence::mutex fast{"queue"};                                // the library's own, the fastest
//   whence::tracked_mutex<std::shared_mutex> table{"orders"};   // with the label lock=orders
//   whence::tracked_mutex<> here{whence::this_line()};          // with the label lock=cache.cpp:12
//   std::scoped_lock hold(m, table);
//
// block       contentions and delay, at the lock call that waited. A wait that goes on when the
//             profile is read is counted as far as it has gone. (A lock that is free again within
//             half a microsecond is taken without a sleep, so that is no wait.)
// mutex       the same delays, at the unlock call of the thread that held the lock meanwhile: the
//             code to shorten. Label `delay`: the power of two at or below it, in nanoseconds.
// mutex_hold  a sample of how long the lock was held, at the unlock call (exclusive holds only).
//
// set_block_profile_rate, set_mutex_profile_fraction and set_mutex_hold_profile_rate
// (<whence/knobs.hpp>) say how much is recorded. The class offers what M offers, and behaves as M
// does: lock, try_lock and unlock, the timed, the shared and the shared-timed members. M's
// exceptions pass through, and leave no event. M is any BasicLockable; if it has no
// try_lock_shared, waits of readers are not seen.
//
// Cost, x86-64: 9 instructions for a lock and unlock without contention; the first lock of an
// object draws a random number, which takes 10 ns more. A wait costs a stack, which is taken before
// the thread sleeps, and two clock readings and the counting, which happen while the lock is held:
// 40 ns. An unlock with waiters costs one clock reading while the lock is held, and a stack after
// that. A tracked_mutex is 72 bytes larger than a std::mutex. With null_registry it has M's size
// and machine code.
//
// Thread-safe as M is; not for signal handlers.
#ifndef WHENCE_MUTEX_HPP
#define WHENCE_MUTEX_HPP

#include <whence/config.hpp>

#include <pthread.h>
#include <sys/single_threaded.h>

#include <concepts>
#include <mutex>
#include <string_view>
#include <type_traits>
#include <utility>

#include <whence/fwd.hpp>
#include <whence/instruments/lock_watch.hpp>
#include <whence/instruments/this_line.hpp>
#include <whence/knobs.hpp>
#include <whence/registry.hpp>
#include <whence/sys/atomic_word.hpp>
#include <whence/sys/block_tail_call.hpp>
#include <whence/sys/futex_mutex.hpp>
#include <whence/sys/relax.hpp>

namespace whence::inline v1 {

// True if a thread may lock an M that it has locked already. Say so for a mutex of your own by
//   template <> inline constexpr bool whence::is_recursive<my_mutex> = true;
template <class M>
inline constexpr bool is_recursive = false;
template <>
inline constexpr bool is_recursive<std::recursive_mutex> = true;
template <>
inline constexpr bool is_recursive<std::recursive_timed_mutex> = true;

namespace instruments {

// glibc locks a pthread_mutex_t without an atomic instruction while there is one thread; an attempt
// to lock always takes one.
template <class M>
concept pthread_lockable = requires(M& m) {
  { m.native_handle() } -> std::same_as<::pthread_mutex_t*>;
};

// A lock that knows by itself whether threads wait, and distinguishes looking from sleeping
// (sys::futex_mutex).
template <class M>
concept knows_waiters = requires(M& m) {
  { m.try_unlock() } -> std::same_as<bool>;
  { m.try_lock_for_a_moment() } -> std::same_as<bool>;
  m.sleep();
  m.mark();
};

// A compiler prints this name if a tracked_mutex is given to code that takes only a std::mutex,
// such as std::unique_lock<std::mutex> and with it std::condition_variable.
struct use_tracked_condition_variable_and_unique_lock_of_tracked_mutex;

// The requirements that the standard's Lockable adds to BasicLockable.
template <class M>
concept lockable = requires(M& m) {
  { m.try_lock() } -> std::convertible_to<bool>;
};

}  // namespace instruments

template <class M, profile_registry R>
class tracked_mutex {
 public:
  tracked_mutex() = default;
  // A lock with a name, which is copied if it is given at run time; `arguments` are M's.
  template <class... Arguments>
  requires std::is_constructible_v<M, Arguments...>
  explicit constexpr tracked_mutex(std::string_view name, Arguments&&... arguments)
      : m_(std::forward<Arguments>(arguments)...), watch_(name) {}
  tracked_mutex(const tracked_mutex&) = delete;
  tracked_mutex& operator=(const tracked_mutex&) = delete;

  void lock() {
    if (!lock_at_once()) [[unlikely]] {
      lock_slow<false>([this] {
        if constexpr (instruments::knows_waiters<M>) {
          m_.sleep();
        } else {
          m_.lock();
        }
        return true;
      });
      sys::block_tail_call();
    }
    on_locked();
  }

  [[nodiscard]] bool try_lock() requires instruments::lockable<M> {
    if (!m_.try_lock()) return false;
    on_locked();
    return true;
  }

  void unlock() {
    if (!unlocks_for_good()) return m_.unlock();
    if constexpr (instruments::knows_waiters<M>) {
      if (m_.try_unlock()) [[likely]]
        return;
    } else {
      if (watch_.idle()) [[likely]]
        return m_.unlock();
    }
    unlock_slow([this] { m_.unlock(); });
    sys::block_tail_call();
  }

  template <class Duration>
  [[nodiscard]] bool try_lock_for(const Duration& d) requires requires(M& m) {
    m.try_lock_for(d);
  }
  {
    return attempt(d, [&] { return m_.try_lock_for(d); });
  }
  template <class Time>
  [[nodiscard]] bool try_lock_until(const Time& t) requires requires(M& m) {
    m.try_lock_until(t);
  }
  {
    return attempt(t, [&] { return m_.try_lock_until(t); });
  }

  void lock_shared() requires requires(M& m) { m.lock_shared(); }
  {
    if constexpr (shared_lockable) {
      if (m_.try_lock_shared()) [[likely]]
        return;
      late_shared<false>([this] {
        m_.lock_shared();
        return true;
      });
      sys::block_tail_call();
    } else {
      m_.lock_shared();
    }
  }

  [[nodiscard]] bool try_lock_shared() requires requires(M& m) { m.try_lock_shared(); }
  { return m_.try_lock_shared(); }

  void unlock_shared() requires requires(M& m) { m.unlock_shared(); }
  {
    if (watch_.idle()) [[likely]]
      return m_.unlock_shared();
    unlock_slow([this] { m_.unlock_shared(); });
    sys::block_tail_call();
  }

  template <class Duration>
  [[nodiscard]] bool try_lock_shared_for(const Duration& d) requires requires(M& m) {
    m.try_lock_shared_for(d);
  }
  {
    return attempt_shared(d, [&] { return m_.try_lock_shared_for(d); });
  }
  template <class Time>
  [[nodiscard]] bool try_lock_shared_until(const Time& t) requires requires(M& m) {
    m.try_lock_shared_until(t);
  }
  {
    return attempt_shared(t, [&] { return m_.try_lock_shared_until(t); });
  }

  auto native_handle() requires requires(M& m) { m.native_handle(); }
  { return m_.native_handle(); }

  // M itself, for calls that take nothing else. Locks and unlocks of M that do not go through this
  // object are not recorded: their waits are no events, and no delay is charged to their unlocks. A
  // lock of this object should end in an unlock of this object, since a hold that is timed lasts
  // until then.
  M& underlying() noexcept { return m_; }
  const M& underlying() const noexcept { return m_; }

  // A std::unique_lock<std::mutex>, as std::condition_variable takes it, would hide the waits.
  template <
      std::same_as<std::mutex> Standard,
      class Advice = instruments::use_tracked_condition_variable_and_unique_lock_of_tracked_mutex>
  operator Standard&() = delete;

 private:
  // True if M cannot be tried: then it has to be guessed whether the lock is taken.
  static constexpr bool guesses = R::enabled && !instruments::lockable<M>;
  static constexpr bool shared_lockable = requires(M & m) {
    { m.try_lock_shared() } -> std::convertible_to<bool>;
  };

  bool lock_at_once() {
    if constexpr (!R::enabled) {
      m_.lock();
      return true;
    }
    if constexpr (instruments::pthread_lockable<M>) {
      if (__libc_single_threaded != 0) {
        m_.lock();
        return true;
      }
    }
    if constexpr (instruments::lockable<M>) {
      return m_.try_lock();
    } else {
      if (held_.load(sys::relaxed)) return false;
      m_.lock();
      return true;
    }
  }

  // The timed members: `take` waits until `limit`, a duration or a time. They have no frame of
  // their own in a stack.
  template <class Limit, class Take>
  [[gnu::always_inline]] bool attempt(const Limit& limit, Take take) {
    bool waits = true;
    if constexpr (instruments::lockable<M>) {
      if (m_.try_lock()) [[likely]] {
        on_locked();
        return true;
      }
      waits = !instruments::is_over(limit);
    } else if constexpr (guesses) {
      waits = held_.load(sys::relaxed);
    }
    const bool got = waits ? lock_slow(take) : take();
    sys::block_tail_call();
    if (got) on_locked();
    return got;
  }
  template <class Limit, class Take>
  [[gnu::always_inline]] bool attempt_shared(const Limit& limit, Take take) {
    if constexpr (shared_lockable) {
      if (m_.try_lock_shared()) [[likely]]
        return true;
    }
    const bool waits = shared_lockable && !instruments::is_over(limit);
    const bool got = waits ? late_shared(take) : take();
    sys::block_tail_call();
    return got;
  }

  // The slow paths. They take only `this` along, so that the fast paths keep nothing else in
  // registers. Their own frames do not show: stacks begin at their callers, which call
  // sys::block_tail_call.
  [[gnu::noinline, gnu::cold]] void begin_hold() noexcept {
    const bool timed = watch_.begin_hold();
    if constexpr (instruments::knows_waiters<M>) {
      if (timed) m_.mark();
    }
  }
  template <bool MayGiveUp = true, class Take>
  [[gnu::noinline, gnu::cold]] bool lock_slow(Take take) {
    return free_in_a_moment() || watch_.take_late(__builtin_return_address(0), take, MayGiveUp);
  }
  template <bool MayGiveUp = true, class Take>
  [[gnu::noinline, gnu::cold]] bool late_shared(Take take) {
    sys::relax_for_a_moment();
    return m_.try_lock_shared() || watch_.take_late(__builtin_return_address(0), take, MayGiveUp);
  }

  // Takes the lock if it is free within half a microsecond. Looking is not waiting: Go does not
  // count it either, and it is shorter than going to sleep.
  bool free_in_a_moment() {
    if constexpr (instruments::knows_waiters<M>) {
      return m_.try_lock_for_a_moment();
    } else if constexpr (instruments::lockable<M>) {
      sys::relax_for_a_moment();
      return m_.try_lock();
    } else {
      return false;
    }
  }

  template <class Release>
  [[gnu::noinline, gnu::cold]] void unlock_slow(Release release) {
    watch_.release(__builtin_return_address(0), release);
  }

  void on_locked() noexcept {
    if constexpr (is_recursive<M> && R::enabled) {
      if (++depth_ > 1) return;
    }
    if constexpr (guesses) held_.store(true, sys::relaxed);
    watch_.note_holder();
    if (watch_.hold_is_due()) [[unlikely]]
      begin_hold();
  }

  // False for the inner unlocks of a recursive lock.
  bool unlocks_for_good() noexcept {
    if constexpr (is_recursive<M> && R::enabled) {
      // If it is zero, the lock is not held, and M handles the mistake.
      if (depth_ > 0 && --depth_ > 0) return false;
    }
    if constexpr (guesses) held_.store(false, sys::relaxed);
    return true;
  }

  struct no_depth {};
  struct not_held {};

  M m_;
  [[no_unique_address]] std::conditional_t<R::enabled, instruments::lock_watch<R>,
                                           instruments::no_watch>
      watch_;
  [[no_unique_address]] std::conditional_t<is_recursive<M> && R::enabled, unsigned, no_depth>
      depth_{};
  // Approximately whether the lock is taken, if it cannot be tried.
  [[no_unique_address]] std::conditional_t<guesses, sys::atomic_word<bool>, not_held> held_{};
};

// M itself, with a name that is not used. (A final M takes the class above.)
template <class M, profile_registry R>
requires(!R::enabled && !std::is_final_v<M>) class tracked_mutex<M, R> : public M {
 public:
  tracked_mutex() = default;
  template <class... Arguments>
  requires std::is_constructible_v<M, Arguments...>
  explicit constexpr tracked_mutex(std::string_view, Arguments&&... arguments)
      : M(std::forward<Arguments>(arguments)...) {}

  M& underlying() noexcept { return *this; }
  const M& underlying() const noexcept { return *this; }
};

}  // namespace whence::inline v1

#endif  // WHENCE_MUTEX_HPP
