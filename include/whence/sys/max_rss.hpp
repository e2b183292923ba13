// SPDX-License-Identifier: Apache-2.0
//
// The peak of the resident memory of this process, in bytes.
#ifndef WHENCE_SYS_MAX_RSS_HPP
#define WHENCE_SYS_MAX_RSS_HPP

#include <unistd.h>

#include <cstdint>
#include <cstdlib>
#include <cstring>

#include <whence/sys/proc_task.hpp>

namespace whence::inline v1::sys {

// 0 if the kernel does not say. (getrusage says it too, but its header is 150 lines.)
inline std::int64_t max_rss_bytes() noexcept {
  char text[2048];
  constexpr const char* key = "\nVmHWM:";  // in kB
  if (!read_task_file(::gettid(), "status", text)) return 0;
  const char* const line = std::strstr(text, key);
  return line == nullptr ? 0 : std::strtoll(line + std::strlen(key), nullptr, 10) * 1024;
}

}  // namespace whence::inline v1::sys

#endif  // WHENCE_SYS_MAX_RSS_HPP
