// SPDX-License-Identifier: Apache-2.0
//
// The threads of this process, from /proc/self/task, without allocating. Some 1 us a thread; a
// thread that begins or ends meanwhile may be listed or not. Keeps errno.
#ifndef WHENCE_SYS_TASK_LIST_HPP
#define WHENCE_SYS_TASK_LIST_HPP

#include <fcntl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <cstring>

#include <whence/sys/errno_guard.hpp>

namespace whence::inline v1::sys {

// Calls visit(tid) for each thread. False if they cannot be listed.
template <class Visit>
bool for_each_task(Visit visit) noexcept {
  const errno_guard keep;
  const int folder = ::open("/proc/self/task", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (folder < 0) return false;
  // struct linux_dirent64: ino 8, off 8, reclen 2, type 1, name
  constexpr std::size_t length_at = 16;
  constexpr std::size_t name_at = 19;
  alignas(8) char entries[4096];
  long bytes = 0;
  while ((bytes = ::syscall(SYS_getdents64, folder, entries, sizeof entries)) > 0) {
    for (long at = 0; at < bytes;) {
      std::uint16_t length = 0;
      std::memcpy(&length, entries + at + length_at, sizeof length);
      ::pid_t tid = 0;
      for (const char* c = entries + at + name_at; *c >= '0' && *c <= '9'; ++c) {
        tid = 10 * tid + (*c - '0');
      }
      if (tid != 0) visit(tid);
      at += length;
    }
  }
  ::close(folder);
  return bytes == 0;
}

// The number of the newest thread or process of the machine (of the container): while it stays the
// same, there is no new thread. -1 if the kernel does not tell. Some 3 us.
inline std::int64_t newest_task() noexcept {
  const errno_guard keep;
  const int file = ::open("/proc/loadavg", O_RDONLY | O_CLOEXEC);
  if (file < 0) return -1;
  char text[128];
  ssize_t n = ::read(file, text, sizeof text);
  ::close(file);
  // "0.20 0.18 0.12 1/80 11206\n": the last field
  while (n > 0 && (text[n - 1] < '0' || text[n - 1] > '9')) --n;
  std::int64_t number = 0;
  std::int64_t digit = 1;
  ssize_t first = n;
  for (; first > 0 && text[first - 1] >= '0' && text[first - 1] <= '9'; --first) {
    number += digit * (text[first - 1] - '0');
    digit *= 10;
  }
  return first == n ? -1 : number;
}

}  // namespace whence::inline v1::sys

#endif  // WHENCE_SYS_TASK_LIST_HPP
