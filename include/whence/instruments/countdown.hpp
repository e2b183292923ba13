// SPDX-License-Identifier: Apache-2.0
//
// Decides which allocations are sampled: a Poisson process over the bytes allocated, so that a
// block of S bytes is sampled with probability 1 - exp(-S/R), R the mean number of bytes between
// samples, whatever was allocated before it. (Go: runtime/malloc.go, fastexprand; tcmalloc:
// sampler.h.)
//
//   a thread draws        D = floor(-R ln(U)),  U uniform in (0, 1]
//   and samples a block   when the bytes since the draw exceed D;  then it draws again.
//
// The countdown is one thread-local word, constant-initialized and trivial, so that reaching it
// costs nothing; zero at first, which is below every floor: the first allocation of a thread makes
// its first draw. Cost of an allocation that is not sampled: 4 instructions (x86-64).
#ifndef WHENCE_INSTRUMENTS_COUNTDOWN_HPP
#define WHENCE_INSTRUMENTS_COUNTDOWN_HPP

#include <atomic>
#include <cstddef>
#include <cstdint>

#include <whence/profile/attach.hpp>
#include <whence/profile/process_state.hpp>
#include <whence/sys/clock.hpp>
#include <whence/sys/thread_local.hpp>

namespace whence::inline v1::instruments {

struct sampler {
  std::int64_t remaining;  // bytes to the next sample, above `floor`
  std::int64_t floor;      // of the epoch in which the draw was made
  std::int64_t rate;       // the draw's mean
  std::uint64_t random;    // 0: not seeded
};
WHENCE_THREAD_LOCAL sampler this_thread{};

// True: ask `due` whether this allocation of `bytes` is sampled.
[[gnu::always_inline]] inline bool countdown(std::size_t bytes) noexcept {
  this_thread.remaining -= static_cast<std::int64_t>(bytes);
  // Keeps load, subtraction and store one instruction: the comparison reads the result again.
  std::atomic_signal_fence(std::memory_order_seq_cst);
  return this_thread.remaining < core::own_state.own_gate.floor.load(std::memory_order_relaxed);
}

// Uniform in (0, 1] with 53 bits: splitmix64 (Steele, Lea, Flood, "Fast Splittable Pseudorandom
// Number Generators", 2014).
inline double uniform(std::uint64_t& state) noexcept {
  state += 0x9e3779b97f4a7c15;
  std::uint64_t z = state;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
  z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
  z ^= z >> 31;
  return static_cast<double>((z >> 11) + 1) * 0x1p-53;
}

// Bytes to the next sample; capped, so that it never reaches into the next epoch.
inline std::int64_t draw(sampler& t) noexcept {
  if (t.random == 0) {
    t.random = reinterpret_cast<std::uintptr_t>(&t) ^
               (static_cast<std::uint64_t>(sys::wall_time_ns()) << 16);
  }
  const double d = -__builtin_log(uniform(t.random)) * static_cast<double>(t.rate);
  constexpr auto cap = static_cast<double>(core::epoch - 1);
  return static_cast<std::int64_t>(d < cap ? d : cap);
}

// The slow path of an allocation of `bytes`, already counted down: the rate it is sampled at, or 0.
[[gnu::noinline, gnu::cold]] inline std::int64_t due(std::size_t bytes) noexcept {
  core::process_state* const s = core::state();
  sampler& t = this_thread;
  if (s == nullptr) {
    t.remaining = core::epoch;
    return 0;
  }
  // Acquire pairs with change_heap_rate: the rate is at least as new as the floor.
  const std::int64_t floor = s->heap_floor.load(std::memory_order_acquire);
  const std::int64_t rate = s->heap_rate.load(std::memory_order_relaxed);
  const bool stale = t.floor != floor || t.rate != rate;
  t.floor = floor;
  t.rate = rate;
  if (t.rate <= 1) {
    t.remaining = floor - t.rate;  // 1: below the floor again at the next allocation; 0: off
    return bytes == 0 ? 0 : t.rate;
  }
  if (stale) {
    // The old draw is void. The new one counts from the start of this block, with numbers of its
    // own: this may be a child of fork, which has its parent's.
    t.random = 0;
    const std::int64_t first = draw(t);
    if (bytes <= static_cast<std::uint64_t>(first)) {
      t.remaining = floor + first - static_cast<std::int64_t>(bytes);
      return 0;
    }
  }
  t.remaining = floor + draw(t);
  return t.rate;
}

}  // namespace whence::inline v1::instruments

#endif  // WHENCE_INSTRUMENTS_COUNTDOWN_HPP
