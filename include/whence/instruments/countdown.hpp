// SPDX-License-Identifier: Apache-2.0
//
// Decides which events are sampled: a Poisson process over an amount (bytes allocated, locks
// taken), so that an event of S is sampled with probability 1 - exp(-S/R), R the mean amount
// between samples, whatever came before it. (Go: runtime/malloc.go, fastexprand; tcmalloc:
// sampler.h.)
//
//   a thread draws        D = floor(-R ln(U)),  U uniform in (0, 1]
//   and samples an event  when the amount since the draw exceeds D;  then it draws again.
//
// The countdown of allocations is one thread-local word, constant-initialized and trivial, so that
// reaching it costs nothing; zero at first, which is below every floor: the first event of a thread
// makes its first draw. Cost of an event that is not sampled: 4 instructions (x86-64). A lock
// counts its holds by itself (lock_watch.hpp).
#ifndef WHENCE_INSTRUMENTS_COUNTDOWN_HPP
#define WHENCE_INSTRUMENTS_COUNTDOWN_HPP

#include <atomic>
#include <cstddef>
#include <cstdint>

#include <whence/profile/attach.hpp>
#include <whence/profile/process_state.hpp>
#include <whence/sys/random.hpp>
#include <whence/sys/thread_local.hpp>

namespace whence::inline v1::instruments {

struct sampler {
  std::int64_t remaining;  // to the next sample, above `floor`
  std::int64_t floor;      // of the epoch in which the draw was made
  std::int64_t rate;       // the draw's mean
};
WHENCE_THREAD_LOCAL sampler heap_sampler{};

// True: ask `due` whether this event is sampled.
[[gnu::always_inline]] inline bool count_down(std::int64_t& remaining,
                                              const std::atomic<std::int64_t>& floor,
                                              std::size_t amount) noexcept {
  remaining -= static_cast<std::int64_t>(amount);
  // Keeps load, subtraction and store one instruction: the comparison reads the result again.
  std::atomic_signal_fence(std::memory_order_seq_cst);
  return remaining < floor.load(std::memory_order_relaxed);
}

// Of an allocation.
[[gnu::always_inline]] inline bool countdown(std::size_t bytes) noexcept {
  return count_down(heap_sampler.remaining, core::own_state.own_gate.floor, bytes);
}

// The amount to the next sample, 26 bits for a mean below 2^20; capped, so that it never reaches
// into the next epoch.
inline std::int64_t draw(std::int64_t mean) noexcept {
  const double d = -__builtin_log(sys::uniform()) * static_cast<double>(mean);
  constexpr auto cap = static_cast<double>(core::epoch - 1);
  return static_cast<std::int64_t>(d < cap ? d : cap);
}

// The slow path of an event already counted down: the rate it is sampled at, or 0.
inline std::int64_t due(sampler& t, const core::sampling& knob, std::size_t amount) noexcept {
  // Acquire pairs with start_epoch: the rate is at least as new as the floor.
  const std::int64_t floor = knob.floor.load(std::memory_order_acquire);
  const std::int64_t rate = knob.rate.load(std::memory_order_relaxed);
  const bool stale = t.floor != floor || t.rate != rate;
  t.floor = floor;
  t.rate = rate;
  if (rate <= 1) {
    t.remaining = floor - rate;  // 1: below the floor again at the next event; 0: off
    return amount == 0 ? 0 : rate;
  }
  if (stale) {
    // The old draw is void. The new one counts from the start of this event.
    const std::int64_t first = draw(rate);
    if (amount <= static_cast<std::uint64_t>(first)) {
      t.remaining = floor + first - static_cast<std::int64_t>(amount);
      return 0;
    }
  }
  t.remaining = floor + draw(rate);
  return rate;
}

// Of an allocation of `bytes`.
[[gnu::noinline, gnu::cold]] inline std::int64_t due(std::size_t bytes) noexcept {
  if (const core::process_state* const s = core::state()) return due(heap_sampler, s->heap, bytes);
  heap_sampler.remaining = core::epoch;
  return 0;
}

}  // namespace whence::inline v1::instruments

#endif  // WHENCE_INSTRUMENTS_COUNTDOWN_HPP
