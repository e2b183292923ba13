// SPDX-License-Identifier: Apache-2.0
//
// How much memory may be taken before the kernel ends the program for it: what the machine has
// left, or the container (cgroup) that the program is in, whichever is less. It is a guess: other
// processes take memory as well. Not for signal handlers: it opens files.
#ifndef WHENCE_SYS_AVAILABLE_MEMORY_HPP
#define WHENCE_SYS_AVAILABLE_MEMORY_HPP

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

#include <whence/sys/cancel_guard.hpp>
#include <whence/sys/errno_guard.hpp>

namespace whence::inline v1::sys {

// The first number after `label` at the beginning of a small file; nullopt if it is missing.
inline std::optional<std::uint64_t> number_in_file(const char* path,
                                                   std::string_view label) noexcept {
  const errno_guard keep;
  const cancel_guard uncancelled;
  const int descriptor = ::open(path, O_RDONLY | O_CLOEXEC);
  if (descriptor < 0) return std::nullopt;
  std::array<char, 1024> bytes;
  const ssize_t length = ::read(descriptor, bytes.data(), bytes.size());
  ::close(descriptor);
  std::string_view text(bytes.data(), length > 0 ? static_cast<std::size_t>(length) : 0);
  const std::size_t at = text.find(label);
  if (at == std::string_view::npos) return std::nullopt;
  text.remove_prefix(at + label.size());
  while (text.starts_with(' ')) text.remove_prefix(1);
  std::optional<std::uint64_t> value;
  for (const char c : text) {
    if (c < '0' || c > '9') break;
    value = value.value_or(0) * 10 + static_cast<std::uint64_t>(c - '0');
  }
  return value;  // nullopt for "max", which means no limit
}

// The number of bytes; nullopt if the kernel does not tell.
inline std::optional<std::uint64_t> available_memory() noexcept {
  std::optional<std::uint64_t> least;
  const auto take = [&least](std::uint64_t bytes) {
    if (!least || bytes < *least) least = bytes;
  };
  if (const auto kilobytes = number_in_file("/proc/meminfo", "MemAvailable:"))
    take(*kilobytes * 1024);
  struct group {
    const char *limit, *used;
  };
  // Version 2 and version 1, as a program sees its own group in a container.
  constexpr group groups[] = {{"/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory.current"},
                              {"/sys/fs/cgroup/memory/memory.limit_in_bytes",
                               "/sys/fs/cgroup/memory/memory.usage_in_bytes"}};
  for (const group& g : groups) {
    const auto limit = number_in_file(g.limit, "");
    const auto used = number_in_file(g.used, "");
    if (limit && used) take(*limit > *used ? *limit - *used : 0);
  }
  return least;
}

}  // namespace whence::inline v1::sys

#endif  // WHENCE_SYS_AVAILABLE_MEMORY_HPP
