// SPDX-License-Identifier: Apache-2.0
//
// The charges of a lock's holder: the time that other threads waited meanwhile (`mutex`) and, for a
// sample of holds, how long it held the lock (`mutex_hold`). instruments/lock_watch.hpp calls it.
#ifndef WHENCE_RECORD_LOCK_HPP
#define WHENCE_RECORD_LOCK_HPP

#include <atomic>
#include <bit>
#include <cstdint>

#include <whence/core/counters.hpp>
#include <whence/core/profile.hpp>
#include <whence/instruments/lock_words.hpp>
#include <whence/record/event.hpp>
#include <whence/record/sample_distance.hpp>
#include <whence/state/attach.hpp>
#include <whence/state/process_state.hpp>
#include <whence/sys/clock.hpp>
#include <whence/sys/random.hpp>
#include <whence/tables/bucket.hpp>

namespace whence::inline v1::record {

using instruments::ended_hold;
using instruments::lock_words;

// Does the work of lock_watch::begin_hold. Requires: the caller holds the lock.
inline bool begin_hold(lock_words& l) noexcept {
  const std::int64_t rate = state::attached().hold_rate.load(std::memory_order_relaxed);
  const std::uint32_t drawn_at = l.hold_rate;
  l.hold_rate = static_cast<std::uint32_t>(rate);
  const auto next = [rate] {
    return static_cast<std::int32_t>(rate == 0   ? lock_words::look_again
                                     : rate == 1 ? 0
                                                 : draw(rate));
  };
  l.holds_left = next();
  if (drawn_at == 0) {
    // This call was not due to a draw. The draw just made counts from this hold on.
    if (rate == 0 || l.holds_left-- > 0) return false;
    l.holds_left = next();
  }
  l.timed_rate = drawn_at == 0 ? l.hold_rate : drawn_at;
  l.held_since_ns = sys::monotonic_ns();
  l.queue.begin_hold();
  return true;
}

// The part of lock_watch::release before the release. Requires: the caller holds the lock.
inline ended_hold charge(lock_words& l) noexcept {
  ended_hold ended;
  const bool rests = l.queue.resting();
  if (rests && !l.queue.holds()) return ended;
  if (l.queue.end_hold()) ended.held_ns = sys::monotonic_ns() - l.held_since_ns;
  ended.rate = l.timed_rate;
  if (!rests) ended.delay_ns = l.queue.charge(&sys::monotonic_ns);
  if (ended.delay_ns > 0 || ended.held_ns >= 0) ended.labels = l.name.labels();
  return ended;
}

// Counts `count` events of `length_ns` each; together a hundred days at most, so that no sum wraps.
inline void record_lock(profile& p, event_key key, std::int64_t count, std::int64_t length_ns,
                        const void* caller) noexcept {
  tables::bucket* const b = record_stack(state::attached(), p.rows(), key, caller);
  if (b == nullptr) return;
  constexpr std::int64_t most_ns = std::int64_t{1} << 53;
  b->add(core::contention_counter, count);
  b->add(core::delay_counter, length_ns < most_ns / count ? count * length_ns : most_ns);
}

// One event in `mutex_fraction` is recorded, and counts for all of them. (Go: runtime.mutexevent)
inline void record_delay(profile& mutex, const ended_hold& ended, const void* caller) noexcept {
  const std::int64_t n = state::attached().mutex_fraction.load(std::memory_order_relaxed);
  if (n <= 0 || (n > 1 && sys::random_bits() % static_cast<std::uint64_t>(n) != 0)) return;
  const auto power = std::bit_floor(static_cast<std::uint64_t>(ended.delay_ns));
  record_lock(mutex, {power, 0, ended.labels}, n, ended.delay_ns, caller);
}

// A hold sampled at rate n is one of 1 / (1 - exp(-1/n)).
inline void record_hold(profile& mutex_hold, const ended_hold& ended, const void* caller) noexcept {
  const double weight =
      ended.rate <= 1 ? 1 : -1 / __builtin_expm1(-1 / static_cast<double>(ended.rate));
  record_lock(mutex_hold, {0, 0, ended.labels}, sys::round_randomly(weight), ended.held_ns, caller);
}

}  // namespace whence::inline v1::record

#endif  // WHENCE_RECORD_LOCK_HPP
