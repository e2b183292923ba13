// SPDX-License-Identifier: Apache-2.0
//
// What a running program may set. Each function is thread-safe and takes effect at once, unless it
// says otherwise, in every thread and in every plugin that shares the process's profiles. If no
// module of the process reads profiles, nothing is set, and the value at the start is returned. Not
// for signal handlers.
#ifndef WHENCE_KNOBS_HPP
#define WHENCE_KNOBS_HPP

#include <whence/config.hpp>

#include <cstddef>
#include <cstdint>

#include <whence/instruments/settings_table.hpp>

namespace whence::inline v1 {

// The mean number of bytes between two sampled allocations (512 KiB at the start): 1 samples every
// allocation, 0 or less none, and nothing is sparser than 1 TiB. Returns the previous rate. What is
// recorded keeps the rate it was sampled at. Below 64 KiB, deallocations look into a filter from
// then on: about 1 ns more each. (Go: runtime.MemProfileRate)
inline std::int64_t set_heap_profile_rate(std::int64_t bytes) noexcept {
  return instruments::set(instruments::setting::heap_rate, bytes);
}

// The mean time, in nanoseconds, that threads wait between two waits recorded in `block`: 1 records
// every wait, 0 or less none; nothing is sparser than 13 days. A wait at least as long is always
// recorded. Returns the previous rate. It holds for waits that begin afterwards; what is recorded
// does not change. (Go: runtime.SetBlockProfileRate)
inline std::int64_t set_block_profile_rate(std::int64_t ns) noexcept {
  return instruments::set(instruments::setting::block_rate, ns);
}

// One in `n` contentions is recorded in `mutex`, on average, and counts n times: 1 records all, 0
// none; n below 0 changes nothing; nothing is sparser than one in a million. Returns the previous
// n. What is recorded does not change. (Go: runtime.SetMutexProfileFraction)
inline int set_mutex_profile_fraction(int n) noexcept {
  return static_cast<int>(instruments::set(instruments::setting::mutex_fraction, n));
}

// One in `n` locks has the time it is held recorded in `mutex_hold`, on average, and counts n
// times: 1 times all, 0 or less none; nothing is sparser than one in a million. Returns the
// previous n. A lock that has been used takes the new n when it would have been sampled next at the
// old n, or after its next 1000 locks if the old n was 0. What is recorded does not change.
inline std::int64_t set_mutex_hold_profile_rate(std::int64_t n) noexcept {
  return instruments::set(instruments::setting::hold_rate, n);
}

// The number of frames a stack keeps, leaf end first: 128 at the start, 1 to 1024. Deeper stacks
// show a root frame [truncated].
inline void set_max_stack_depth(int frames) noexcept {
  instruments::set(instruments::setting::stack_depth, frames);
}

// The number of bytes all tables together may take: 256 MiB at the start. Beyond it events are
// counted on one [overflow] stack a profile, and the profiles' comments say how many. Above 128 TiB
// it is 128 TiB.
inline void set_memory_limit(std::size_t bytes) noexcept {
  constexpr auto most =
      static_cast<std::size_t>(instruments::info(instruments::setting::memory_limit).most);
  instruments::set(instruments::setting::memory_limit,
                   static_cast<std::int64_t>(bytes < most ? bytes : most));
}

}  // namespace whence::inline v1

#endif  // WHENCE_KNOBS_HPP
