// SPDX-License-Identifier: Apache-2.0
//
// Decides which allocations are sampled: a Poisson process over the bytes allocated, so that an
// allocation of S bytes is sampled with probability 1 - exp(-S/R), R the mean number of bytes
// between samples, independent of all allocations before it. (Go: runtime/malloc.go, fastexprand;
// tcmalloc: sampler.h.)
//
//   a thread draws  D = floor(-R ln(U)),  U uniform in (0, 1]  (record/sample_distance.hpp), and
//   samples an allocation when the bytes since the draw exceed D; then it draws again.
//
// The countdown is one thread-local word, constant-initialized and trivial, so that reaching it
// costs nothing; it is one word, because a plugin has little static thread-local storage. It begins
// at zero, which is below every floor, so the first allocation of a thread makes its first draw.
// Cost of an allocation that is not sampled: 4 instructions (x86-64). A lock counts its holds by
// itself (lock_watch.hpp).
#ifndef WHENCE_INSTRUMENTS_SAMPLE_COUNTDOWN_HPP
#define WHENCE_INSTRUMENTS_SAMPLE_COUNTDOWN_HPP

#include <cstddef>
#include <cstdint>

#include <whence/instruments/hot_words.hpp>
#include <whence/instruments/recorder.hpp>
#include <whence/sys/atomic_word.hpp>
#include <whence/sys/thread_local.hpp>

namespace whence::inline v1::instruments {

// The bytes to the next sample, above the floor of the epoch in which the draw was made. Below that
// floor, no draw is in force.
WHENCE_THREAD_LOCAL std::int64_t own_countdown{0};

// If it is true, `due` decides whether this allocation is sampled.
[[gnu::always_inline]] inline bool countdown(std::size_t bytes) noexcept {
  own_countdown -= static_cast<std::int64_t>(bytes);
  // The fence keeps load, subtraction and store one instruction: the comparison reads the result
  // again.
  sys::compiler_fence();
  return own_countdown < here.hot.floor.load(sys::relaxed);
}

// Returns the rate at which an allocation that is already counted down is sampled, or 0: if it is
// not due, or if the memory of the whole program is seen anyway and R is the default registry, so
// that it would be counted twice. It is hidden, because the countdown is this module's.
template <class R>
[[gnu::noinline, gnu::cold, gnu::visibility("hidden")]] std::int64_t due(
    std::size_t bytes) noexcept {
  if (const recorder* const r = recorder_here()) return r->due(R::heap(), own_countdown, bytes);
  own_countdown = epoch - 1;  // below the first floor of a recorder that comes later
  return 0;
}

}  // namespace whence::inline v1::instruments

#endif  // WHENCE_INSTRUMENTS_SAMPLE_COUNTDOWN_HPP
