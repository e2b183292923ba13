// SPDX-License-Identifier: Apache-2.0
//
// The state beside a lock, whatever kind of lock that is. The inline part of lock_watch.hpp reads
// it, and the recorder does the rest (record/lock.hpp).
#ifndef WHENCE_INSTRUMENTS_LOCK_WORDS_HPP
#define WHENCE_INSTRUMENTS_LOCK_WORDS_HPP

#include <cstdint>

#include <whence/instruments/lock_holder.hpp>
#include <whence/instruments/wait_name.hpp>
#include <whence/instruments/wait_queue.hpp>

namespace whence::inline v1::instruments {

struct lock_words {
  // The number of holds until a lock asks for the rate again, if no hold is timed.
  static constexpr std::int32_t look_again = 1000;

  constexpr lock_words() noexcept = default;
  constexpr explicit lock_words(std::string_view lock_name) noexcept : name(lock_name) {}

  // The words that every lock touches come first, to share the cache line of the lock itself.
  lock_holder holder;
  std::int32_t holds_left = 0;
  std::uint32_t hold_rate = 0;  // at which they were drawn; 0: not drawn
  [[no_unique_address]] wait_queue queue;
  std::uint32_t timed_rate = 0;    // of the hold that is timed
  std::int64_t held_since_ns = 0;  // the same
  wait_name<"lock"> name;
};

// The findings of a release while the lock was held, which are recorded when it is free.
struct ended_hold {
  std::int64_t delay_ns = 0;  // the time that others waited; 0: nothing to record
  std::int64_t held_ns = -1;  // below 0: not timed
  std::int64_t rate = 0;      // at which the hold was sampled
  std::uint32_t labels = 0;
};

}  // namespace whence::inline v1::instruments

#endif  // WHENCE_INSTRUMENTS_LOCK_WORDS_HPP
