// SPDX-License-Identifier: Apache-2.0
//
// Reads a number from the environment; not in a program that runs with others' rights. A value that
// is not a number in range is refused with a message.
#ifndef WHENCE_STATE_ENVIRONMENT_HPP
#define WHENCE_STATE_ENVIRONMENT_HPP

#include <stdlib.h>
#include <unistd.h>

#include <cstddef>
#include <cstdint>

namespace whence::inline v1::state {

// Prints a line on stderr. Never fails, never allocates.
inline void warn(const char* line) noexcept {
  std::size_t length = 0;
  while (line[length] != '\0') ++length;
  [[maybe_unused]] const auto written = ::write(STDERR_FILENO, line, length);
}

// The variable's value, `otherwise` if it is unset or not a number from `least` to `most`.
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

}  // namespace whence::inline v1::state

#endif  // WHENCE_STATE_ENVIRONMENT_HPP
