// SPDX-License-Identifier: Apache-2.0
//
// The settings' present values: where the root keeps each, and how one is changed.
#ifndef WHENCE_STATE_CURRENT_SETTINGS_HPP
#define WHENCE_STATE_CURRENT_SETTINGS_HPP

#include <stdlib.h>
#include <unistd.h>

#include <atomic>
#include <cstddef>
#include <cstdint>

#include <whence/instruments/settings_table.hpp>
#include <whence/state/process_state.hpp>
#include <whence/state/sampling.hpp>

namespace whence::inline v1::state {

// Prints a line on stderr. Never fails, never allocates.
inline void warn(const char* line) noexcept {
  std::size_t length = 0;
  while (line[length] != '\0') ++length;
  [[maybe_unused]] const auto written = ::write(STDERR_FILENO, line, length);
}

// The variable's value; `otherwise` if it is unset, not a number from `least` to `most`, or the
// program runs with rights of others.
inline std::int64_t environment_number(const char* name, std::int64_t least, std::int64_t most,
                                       std::int64_t otherwise) noexcept {
  const char* const text = ::secure_getenv(name);
  if (text == nullptr || *text == '\0') return otherwise;
  std::int64_t value = 0;
  for (const char* c = text; *c != '\0'; ++c) {
    const bool digit = *c >= '0' && *c <= '9';
    if (!digit || value > (most - (*c - '0')) / 10) {
      value = -1;
      break;
    }
    value = 10 * value + (*c - '0');
  }
  if (value >= least) return value;
  // The parent of this process has said so already (environment/begin.hpp).
  const char* const followed = ::secure_getenv("WHENCE_FOLLOWED");
  if (followed != nullptr && *followed == '1') return otherwise;
  warn("whence: ignored, not a number in range: ");
  warn(name);
  warn("\n");
  return otherwise;
}

inline std::int64_t value_of(const process_state& s, instruments::setting which) noexcept {
  using instruments::setting;
  constexpr auto relaxed = std::memory_order_relaxed;
  switch (which) {
    case setting::heap_rate:
      return s.heap.rate.load(relaxed);
    case setting::block_rate:
      return s.block_rate.load(relaxed);
    case setting::mutex_fraction:
      return s.mutex_fraction.load(relaxed);
    case setting::hold_rate:
      return s.hold_rate.load(relaxed);
    case setting::stack_depth:
      return s.stack_depth.load(relaxed);
    case setting::memory_limit:
      return static_cast<std::int64_t>(s.budget.limit());
  }
  return 0;
}

// Returns the value before. Requires: the value is in range. A new rate of the heap needs one
// caller at a time, and must be published afterwards (publish_hot_words).
inline std::int64_t exchange(process_state& s, instruments::setting which,
                             std::int64_t value) noexcept {
  using instruments::setting;
  constexpr auto relaxed = std::memory_order_relaxed;
  const std::int64_t before = value_of(s, which);
  switch (which) {
    case setting::heap_rate:
      s.heap.change(value);
      return before;
    case setting::block_rate:
      return s.block_rate.exchange(value, relaxed);
    case setting::mutex_fraction:
      return s.mutex_fraction.exchange(value, relaxed);
    case setting::hold_rate:
      return s.hold_rate.exchange(value, relaxed);
    case setting::stack_depth:
      return s.stack_depth.exchange(static_cast<int>(value), relaxed);
    case setting::memory_limit:
      s.budget.set_limit(static_cast<std::size_t>(value));
      return before;
  }
  return before;
}

// Reads the variables. Requires: the root is being opened.
inline void take_environment(process_state& s) noexcept {
  for (int i = 0; i < instruments::setting_count; ++i) {
    const instruments::setting_info& row = instruments::settings[i];
    exchange(s, static_cast<instruments::setting>(i),
             environment_number(row.environment, row.least, row.most, row.at_start));
  }
  if (may_leave_untagged(s.heap.rate)) s.free_mask = instruments::look_at_all;
}

}  // namespace whence::inline v1::state

#endif  // WHENCE_STATE_CURRENT_SETTINGS_HPP
