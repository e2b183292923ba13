// SPDX-License-Identifier: Apache-2.0
//
// What /proc tells about the threads of this process. About one that sleeps, without waking it,
// /proc/self/task/TID/syscall reads, unless the process is not dumpable, as after setuid (prctl,
// PR_SET_DUMPABLE):
//
//   "running"                                                  on a processor, or ready for one
//   "7 0x1 0x2 0x3 0x4 0x5 0x6 0x7ffd4c8 0x7f2a1b3\n"           number, six arguments, sp, pc
//   "-1 0x7ffd4c8 0x7f2a1b3\n"                                  asleep, but in no system call
//
// (man proc; kernel: fs/proc/base.c, proc_pid_syscall.) Signal-safe. Keeps errno. Some 5 us.
#ifndef WHENCE_SYS_PROC_TASK_HPP
#define WHENCE_SYS_PROC_TASK_HPP

#include <fcntl.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>

#include <whence/sys/errno_guard.hpp>

namespace whence::inline v1::sys {

// Opens a file of /proc/self/task/TID/; -1 if it cannot be opened.
inline int open_task_file(::pid_t tid, const char* name) noexcept {
  char path[64] = "/proc/self/task/";
  std::size_t at = std::strlen(path);
  char digits[12];
  std::size_t count = 0;
  for (::pid_t n = tid; n > 0; n /= 10) digits[count++] = static_cast<char>('0' + n % 10);
  while (count > 0) path[at++] = digits[--count];
  path[at++] = '/';
  std::memcpy(path + at, name, std::strlen(name) + 1);
  return ::open(path, O_RDONLY | O_CLOEXEC);
}

// Reads it into `text`, ended by a zero byte; false if it cannot be read.
template <std::size_t Size>
bool read_task_file(::pid_t tid, const char* name, char (&text)[Size]) noexcept {
  const errno_guard keep;
  const int file = open_task_file(tid, name);
  if (file < 0) return false;
  const ssize_t n = ::read(file, text, Size - 1);
  ::close(file);
  text[n > 0 ? n : 0] = '\0';
  return n > 0;
}

struct task_stat {
  // R running or ready, S sleeping, D waiting for a disk or the like, T stopped, t traced, Z ended;
  // 0 if the kernel does not tell.
  char letter = '\0';
  char name[16]{};  // the kernel's name of the thread
};

inline task_stat read_stat(::pid_t tid) noexcept {
  task_stat result;
  char text[512];
  if (!read_task_file(tid, "stat", text)) return result;
  // The text is "4711 (a name) S ...", and the name may contain any byte.
  const char* const name = std::strchr(text, '(');
  const char* const end = std::strrchr(text, ')');
  if (name == nullptr || end == nullptr || end[1] != ' ') return result;
  result.letter = end[2];
  const auto length = static_cast<std::size_t>(end - name - 1);
  std::memcpy(result.name, name + 1, length < 15 ? length : 15);
  return result;
}

// hidden: the thread sleeps, and the kernel does not tell where.
enum class task_state : unsigned char { gone, running, sleeping, hidden };

// What every process may learn about every thread.
inline task_state state_by_stat(::pid_t tid) noexcept {
  const char letter = read_stat(tid).letter;
  if (letter == '\0') return task_state::gone;
  return letter == 'R' ? task_state::running : task_state::hidden;
}

struct sleeping_task {
  task_state state = task_state::gone;
  std::int64_t number = -1;  // of the system call; -1 outside of system calls
  std::uintptr_t arguments[6]{};
  std::uintptr_t sp = 0, pc = 0;
};

inline sleeping_task read_syscall(::pid_t tid) noexcept {
  sleeping_task result;
  char text[256];
  if (!read_task_file(tid, "syscall", text)) {
    result.state = state_by_stat(tid);
    return result;
  }
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
  // The first thread has no stack if it has ended while others go on.
  if (count != (none ? 2 : 8) || values[count - 2] == 0) return result;
  result.state = task_state::sleeping;
  result.number = none ? -1 : number;
  for (int i = 0; !none && i < 6; ++i) result.arguments[i] = values[i];
  result.sp = values[count - 2];
  result.pc = values[count - 1];
  return result;
}

// When the thread last was on a processor, in nanoseconds of the scheduler's clock; -1 if the
// kernel does not tell (CONFIG_SCHED_DEBUG). A difference between two threads is exact to a tick.
inline std::int64_t last_run_ns(::pid_t tid) noexcept {
  char text[512];
  if (!read_task_file(tid, "sched", text)) return -1;
  // The line is "se.exec_start   :   50084260.185710", in milliseconds.
  const char* c = std::strstr(text, "se.exec_start");
  c = c == nullptr ? nullptr : std::strchr(c, ':');
  if (c == nullptr) return -1;
  for (++c; *c == ' '; ++c) {
  }
  std::int64_t ns = 0;
  int decimals = -1;
  for (; (*c >= '0' && *c <= '9') || *c == '.'; ++c) {
    if (*c == '.') {
      decimals = 0;
      continue;
    }
    ns = 10 * ns + (*c - '0');
    if (decimals >= 0) ++decimals;
  }
  for (; decimals < 6; ++decimals) ns = decimals < 0 ? ns : 10 * ns;
  return ns;
}

// ---- the threads of this process, without allocating
//
// Some 1 us a thread; a thread that begins or ends meanwhile may be listed or not. Keeps errno.

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

// The most memory that this process has had resident; 0 if the kernel does not say. (getrusage says
// it too, but its header is 150 lines.)
inline std::int64_t max_rss_bytes() noexcept {
  char text[2048];
  constexpr const char* key = "\nVmHWM:";  // in kB
  if (!read_task_file(::gettid(), "status", text)) return 0;
  const char* const line = std::strstr(text, key);
  return line == nullptr ? 0 : std::strtoll(line + std::strlen(key), nullptr, 10) * 1024;
}

}  // namespace whence::inline v1::sys

#endif  // WHENCE_SYS_PROC_TASK_HPP
