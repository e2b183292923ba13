// SPDX-License-Identifier: Apache-2.0
//
// What the kernel tells of a thread that sleeps, without waking it. /proc/self/task/TID/syscall
// reads, for one's own threads always permitted:
//
//   "running"                                                  on a processor, or ready for one
//   "7 0x1 0x2 0x3 0x4 0x5 0x6 0x7ffd4c8 0x7f2a1b3\n"           number, six arguments, sp, pc
//   "-1 0x7ffd4c8 0x7f2a1b3\n"                                  asleep, but in no system call
//
// (man proc; kernel: fs/proc/base.c, proc_pid_syscall.) Signal-safe. Keeps errno. Some 5 us.
#ifndef WHENCE_SYS_SLEEPING_HPP
#define WHENCE_SYS_SLEEPING_HPP

#include <fcntl.h>
#include <sys/types.h>
#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <cstring>

#include <whence/sys/errno_guard.hpp>

namespace whence::inline v1::sys {

// Reads a file of /proc/self/task/TID/ into `text`, ended by a zero byte; false where it cannot be.
template <std::size_t Size>
bool read_task_file(::pid_t tid, const char* name, char (&text)[Size]) noexcept {
  const errno_guard keep;
  char path[64] = "/proc/self/task/";
  std::size_t at = std::strlen(path);
  char digits[12];
  std::size_t count = 0;
  for (::pid_t n = tid; n > 0; n /= 10) digits[count++] = static_cast<char>('0' + n % 10);
  while (count > 0) path[at++] = digits[--count];
  path[at++] = '/';
  std::memcpy(path + at, name, std::strlen(name) + 1);
  const int file = ::open(path, O_RDONLY | O_CLOEXEC);
  if (file < 0) return false;
  const ssize_t n = ::read(file, text, Size - 1);
  ::close(file);
  text[n > 0 ? n : 0] = '\0';
  return n > 0;
}

enum class task_state : unsigned char { gone, running, sleeping };

struct sleeping_task {
  task_state state = task_state::gone;
  std::int64_t number = -1;  // of the system call; -1: none
  std::uintptr_t arguments[6]{};
  std::uintptr_t sp = 0, pc = 0;
};

inline sleeping_task read_syscall(::pid_t tid) noexcept {
  sleeping_task result;
  char text[256];
  if (!read_task_file(tid, "syscall", text)) return result;
  if (text[0] == 'r') {
    result.state = task_state::running;
    return result;
  }
  const char* c = text;
  const bool none = *c == '-';
  std::int64_t number = 0;
  for (c += none ? 1 : 0; *c >= '0' && *c <= '9'; ++c) number = 10 * number + (*c - '0');
  std::uintptr_t values[8]{};
  int count = 0;
  while (count < 8 && c[0] == ' ' && c[1] == '0' && c[2] == 'x') {
    std::uintptr_t v = 0;
    for (c += 3;; ++c) {
      const unsigned digit = *c >= '0' && *c <= '9'   ? static_cast<unsigned>(*c - '0')
                             : *c >= 'a' && *c <= 'f' ? static_cast<unsigned>(*c - 'a' + 10)
                                                      : 16;
      if (digit == 16) break;
      v = v << 4 | digit;
    }
    values[count++] = v;
  }
  if (count != (none ? 2 : 8)) return result;
  result.state = task_state::sleeping;
  result.number = none ? -1 : number;
  for (int i = 0; !none && i < 6; ++i) result.arguments[i] = values[i];
  result.sp = values[count - 2];
  result.pc = values[count - 1];
  return result;
}

// R running or ready, S sleeping, D waiting for a disk or the like, T stopped, t traced, Z ended;
// 0 where it cannot be had.
inline char task_letter(::pid_t tid) noexcept {
  char text[512];
  if (!read_task_file(tid, "stat", text)) return 0;
  // "4711 (a name) S ...", and the name may hold anything.
  const char* const after = std::strrchr(text, ')');
  return after != nullptr && after[1] == ' ' ? after[2] : '\0';
}

}  // namespace whence::inline v1::sys

#endif  // WHENCE_SYS_SLEEPING_HPP
