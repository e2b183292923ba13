// SPDX-License-Identifier: Apache-2.0
//
// The settings that a running program may change, and their values at the start.
#ifndef WHENCE_INSTRUMENTS_KNOB_HPP
#define WHENCE_INSTRUMENTS_KNOB_HPP

#include <cstddef>
#include <cstdint>

#include <whence/instruments/recorder.hpp>

namespace whence::inline v1::instruments {

enum class knob : int {
  heap_rate,       // mean bytes between samples (Go: runtime.MemProfileRate)
  block_rate,      // mean nanoseconds of waiting between samples
  mutex_fraction,  // one contention in so many
  hold_rate,       // one lock in so many
  stack_depth,     // frames (Go: GODEBUG profstackdepth)
  memory_limit     // bytes of all tables
};

inline constexpr std::int64_t knob_defaults[] = {512 * 1024, 1,   1,
                                                 1000,       128, std::int64_t{256} << 20};

constexpr std::int64_t default_of(knob k) noexcept {
  return knob_defaults[static_cast<int>(k)];
}

// Returns the value before. If no module of the process reads, nothing is set.
inline std::int64_t set(knob k, std::int64_t value) noexcept {
  const recorder* const r = recorder_here();
  return r == nullptr ? default_of(k) : r->set(k, value);
}

}  // namespace whence::inline v1::instruments

#endif  // WHENCE_INSTRUMENTS_KNOB_HPP
