// SPDX-License-Identifier: Apache-2.0
//
// The names of files in WHENCE_OUT and WHENCE_HTTP:
//
//   %p   the process            %k   heap, cpu, wall, ...
//   %n   the program            %s   empty for the first file of a name, then .2, .3, ...
//   %t   when it was started, 20261129T143005Z       %%   a percent sign
#ifndef WHENCE_ENVIRONMENT_FILE_NAME_HPP
#define WHENCE_ENVIRONMENT_FILE_NAME_HPP

#include <sys/types.h>

#include <chrono>
#include <cstddef>
#include <string>
#include <string_view>

namespace whence::inline v1::environment {

struct name_values {
  std::string_view program, started, kind;
  ::pid_t process;
  unsigned sequence;  // from 1
};

// True if the pattern has %`letter`.
inline bool has_part(std::string_view pattern, char letter) noexcept {
  for (std::size_t i = 0; i + 1 < pattern.size(); ++i) {
    if (pattern[i] != '%') continue;
    if (pattern[i + 1] == letter) return true;
    ++i;
  }
  return false;
}

// The first % that begins no part; npos if all do.
inline std::size_t find_wrong_part(std::string_view pattern, std::string_view letters) noexcept {
  for (std::size_t i = 0; i < pattern.size(); ++i) {
    if (pattern[i] != '%') continue;
    const std::size_t begin = i++;
    const bool known = i < pattern.size() &&
                       (pattern[i] == '%' || letters.find(pattern[i]) != std::string_view::npos);
    if (!known) return begin;
  }
  return std::string_view::npos;
}

inline std::string expand(std::string_view pattern, const name_values& with) {
  std::string name;
  for (std::size_t i = 0; i < pattern.size(); ++i) {
    if (pattern[i] != '%' || i + 1 == pattern.size()) {
      name += pattern[i];
      continue;
    }
    switch (pattern[++i]) {
      case 'p':
        name += std::to_string(with.process);
        break;
      case 'n':
        name += with.program;
        break;
      case 't':
        name += with.started;
        break;
      case 'k':
        name += with.kind;
        break;
      case 's':
        if (with.sequence > 1) name += '.' + std::to_string(with.sequence);
        break;
      default:
        name += pattern[i];
    }
  }
  return name;
}

// The folder of a path, with its slash; empty if the path has none.
inline std::string folder_of(std::string_view path) {
  return std::string(path.substr(0, path.rfind('/') + 1));  // npos + 1 is 0
}

// Seconds since 1970 as 20261129T143005Z. (gmtime_r takes libc's lock of time zones, and may read
// a file.)
inline std::string time_text(std::chrono::sys_seconds time) {
  const auto day = std::chrono::floor<std::chrono::days>(time);
  const std::chrono::year_month_day date(day);
  const std::chrono::hh_mm_ss clock(time - day);
  const auto two = [](auto number) {
    const auto n = static_cast<unsigned>(number);
    return std::string{static_cast<char>('0' + n / 10), static_cast<char>('0' + n % 10)};
  };
  return std::to_string(static_cast<int>(date.year())) + two(static_cast<unsigned>(date.month())) +
         two(static_cast<unsigned>(date.day())) + 'T' + two(clock.hours().count()) +
         two(clock.minutes().count()) + two(clock.seconds().count()) + 'Z';
}

}  // namespace whence::inline v1::environment

#endif  // WHENCE_ENVIRONMENT_FILE_NAME_HPP
