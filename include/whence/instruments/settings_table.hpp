// SPDX-License-Identifier: Apache-2.0
//
// The settings of a process: one row each, which the functions of <whence/knobs.hpp>, the start
// values from the environment, the index page and the table in docs/guarantees.md are all held to.
#ifndef WHENCE_INSTRUMENTS_SETTINGS_TABLE_HPP
#define WHENCE_INSTRUMENTS_SETTINGS_TABLE_HPP

#include <cstddef>
#include <cstdint>

#include <whence/instruments/recorder.hpp>

namespace whence::inline v1::instruments {

enum class setting : int {
  heap_rate,
  block_rate,
  mutex_fraction,
  hold_rate,
  stack_depth,
  memory_limit
};

struct setting_info {
  const char* function;     // sets it while the program runs
  const char* environment;  // the variable that sets it at the start
  std::int64_t at_start;    // if the variable is not set
  std::int64_t least;
  std::int64_t most;
  const char* meaning;  // with its unit
  const char* in_go;    // what it is called there; empty: Go has none
};

inline constexpr setting_info settings[] = {
    {"set_heap_profile_rate", "WHENCE_HEAP_RATE", 512 * 1024, 0, std::int64_t{1} << 40,
     "mean bytes between two samples", "runtime.MemProfileRate"},
    {"set_block_profile_rate", "WHENCE_BLOCK_RATE", 1, 0, std::int64_t{1} << 50,
     "mean nanoseconds of waiting between two samples", "runtime.SetBlockProfileRate"},
    {"set_mutex_profile_fraction", "WHENCE_MUTEX_FRACTION", 1, 0, 1'000'000,
     "one contention in so many is recorded", "runtime.SetMutexProfileFraction"},
    {"set_mutex_hold_profile_rate", "WHENCE_MUTEX_HOLD_RATE", 1000, 0, 1'000'000,
     "one lock in so many is timed", ""},
    {"set_max_stack_depth", "WHENCE_STACK_DEPTH", 128, 1, 1024, "frames of a stack",
     "GODEBUG=profstackdepth"},
    {"set_memory_limit", "WHENCE_MEMORY_LIMIT", std::int64_t{256} << 20, 0, std::int64_t{1} << 47,
     "bytes of all tables together", ""},
};

inline constexpr int setting_count = static_cast<int>(sizeof settings / sizeof settings[0]);

constexpr const setting_info& info(setting s) noexcept {
  return settings[static_cast<int>(s)];
}

// A value out of range is taken for the nearest in range.
constexpr std::int64_t in_range(setting s, std::int64_t value) noexcept {
  const setting_info& row = info(s);
  return value < row.least ? row.least : value > row.most ? row.most : value;
}

// Returns the value before. If no module of the process reads, nothing is set.
inline std::int64_t set(setting s, std::int64_t value) noexcept {
  const recorder* const r = recorder_here();
  return r == nullptr ? info(s).at_start : r->set(s, value);
}

}  // namespace whence::inline v1::instruments

#endif  // WHENCE_INSTRUMENTS_SETTINGS_TABLE_HPP
