// SPDX-License-Identifier: Apache-2.0
//
// The ways out of a process that run no destructor: _exit, _Exit, quick_exit and exec. Each writes
// the files that are asked for and calls the next function of its name.
//
// A child of vfork may call them while other threads of its parent hold any lock, and its memory is
// the parent's: so they are looked up before main, and do nothing there.
#ifndef WHENCE_ENVIRONMENT_WAYS_OUT_HPP
#define WHENCE_ENVIRONMENT_WAYS_OUT_HPP

#include <dlfcn.h>
#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstddef>
#include <cstring>
#include <type_traits>

#include <whence/environment/agent.hpp>
#include <whence/sys/errno_guard.hpp>

namespace whence::inline v1::environment {

struct next_ways_out {
  void (*exit_now)(int);  // _exit
  void (*exit_quickly)(int);
  int (*execve)(const char*, char* const*, char* const*);
  int (*execvpe)(const char*, char* const*, char* const*);
  int (*fexecve)(int, char* const*, char* const*);
  int (*execveat)(int, const char*, char* const*, char* const*, int);
};

inline constinit next_ways_out next{};

[[gnu::constructor(101)]] inline void find_next_ways_out() noexcept {
  const auto find = [](auto& to, const char* name) {
    to = reinterpret_cast<std::remove_reference_t<decltype(to)>>(::dlsym(RTLD_NEXT, name));
  };
  find(next.exit_now, "_exit");
  find(next.exit_quickly, "quick_exit");
  find(next.execve, "execve");
  find(next.execvpe, "execvpe");
  find(next.fexecve, "fexecve");
  find(next.execveat, "execveat");
}
[[gnu::used]] static void (*const used_constructor)() noexcept = &find_next_ways_out;

// Found again if a constructor calls before ours.
inline const next_ways_out& ways_out() noexcept {
  if (next.execveat == nullptr) find_next_ways_out();
  return next;
}

// True if the file can be started, as far as that can be told: a program may try many names.
inline bool can_start(const char* path) noexcept {
  const sys::errno_guard keep;
  return path != nullptr && ::access(path, X_OK) == 0;
}

// The same for a name that is looked for in PATH. Never allocates.
inline bool can_find(const char* name) noexcept {
  if (name == nullptr || *name == '\0') return false;
  if (std::strchr(name, '/') != nullptr) return can_start(name);
  const char* folders = ::getenv("PATH");
  if (folders == nullptr) folders = "/bin:/usr/bin";
  char path[PATH_MAX];
  const std::size_t length = std::strlen(name);
  for (const char* folder = folders;;) {
    const std::size_t size = std::strcspn(folder, ":");
    if (size + length + 2 <= sizeof path) {
      std::memcpy(path, folder, size);
      path[size] = '/';
      std::memcpy(path + size + 1, name, length + 1);
      if (can_start(size == 0 ? name : path)) return true;
    }
    if (folder[size] == '\0') return false;
    folder += size + 1;
  }
}

inline void leave() noexcept {
  if (agent* const it = agent::get()) it->finish();
}

template <class Exec>
int leave_by_exec(bool may_succeed, Exec exec) noexcept {
  agent* const it = may_succeed ? agent::get() : nullptr;
  if (it != nullptr) it->before_exec();
  const int result = exec();
  if (it != nullptr) it->after_failed_exec();
  return result;
}

[[noreturn]] inline void exit_now(int status) noexcept {
  if (ways_out().exit_now != nullptr) next.exit_now(status);
  for (;;) ::syscall(SYS_exit_group, status);
}

// The arguments of execl and its like, which end with a null pointer, on the caller's stack: a
// child of vfork must not allocate.
inline std::size_t count_arguments(const char* first, va_list list) noexcept {
  if (first == nullptr) return 0;
  std::size_t count = 1;
  while (va_arg(list, char*) != nullptr) ++count;
  return count;
}

}  // namespace whence::inline v1::environment

#define WHENCE_ARGUMENTS(array, first, last)                                                       \
  va_list array##_list;                                                                            \
  va_start(array##_list, last);                                                                    \
  const std::size_t array##_count = whence::environment::count_arguments(first, array##_list) + 1; \
  va_end(array##_list);                                                                            \
  char** const array = static_cast<char**>(__builtin_alloca(array##_count * sizeof(char*)));       \
  array[0] = const_cast<char*>(first);                                                             \
  va_start(array##_list, last);                                                                    \
  for (std::size_t i = 1; i < array##_count; ++i) array[i] = va_arg(array##_list, char*)

extern "C" {
#pragma GCC visibility push(default)

[[gnu::noreturn]] void _exit(int status) {
  whence::environment::leave();
  whence::environment::exit_now(status);
}

[[gnu::noreturn]] void _Exit(int status) noexcept {
  whence::environment::leave();
  whence::environment::exit_now(status);
}

[[gnu::noreturn]] void quick_exit(int status) noexcept {
  whence::environment::leave();
  if (whence::environment::ways_out().exit_quickly != nullptr) {
    whence::environment::next.exit_quickly(status);
  }
  whence::environment::exit_now(status);
}

int execve(const char* path, char* const* arguments, char* const* variables) noexcept {
  using namespace whence::environment;
  return leave_by_exec(can_start(path),
                       [&] { return ways_out().execve(path, arguments, variables); });
}

int execv(const char* path, char* const* arguments) noexcept {
  return execve(path, arguments, environ);
}

int execvpe(const char* name, char* const* arguments, char* const* variables) noexcept {
  using namespace whence::environment;
  return leave_by_exec(can_find(name),
                       [&] { return ways_out().execvpe(name, arguments, variables); });
}

int execvp(const char* name, char* const* arguments) noexcept {
  return execvpe(name, arguments, environ);
}

int fexecve(int file, char* const* arguments, char* const* variables) noexcept {
  using namespace whence::environment;
  return leave_by_exec(true, [&] { return ways_out().fexecve(file, arguments, variables); });
}

int execveat(int folder, const char* path, char* const* arguments, char* const* variables,
             int flags) noexcept {
  using namespace whence::environment;
  return leave_by_exec(
      true, [&] { return ways_out().execveat(folder, path, arguments, variables, flags); });
}

int execl(const char* path, const char* first, ...) noexcept {
  WHENCE_ARGUMENTS(arguments, first, first);
  va_end(arguments_list);
  return execve(path, arguments, environ);
}

int execlp(const char* name, const char* first, ...) noexcept {
  WHENCE_ARGUMENTS(arguments, first, first);
  va_end(arguments_list);
  return execvpe(name, arguments, environ);
}

int execle(const char* path, const char* first, ...) noexcept {
  WHENCE_ARGUMENTS(arguments, first, first);
  char* const* const variables = va_arg(arguments_list, char* const*);
  va_end(arguments_list);
  return execve(path, arguments, variables);
}

#pragma GCC visibility pop
}

#undef WHENCE_ARGUMENTS

#endif  // WHENCE_ENVIRONMENT_WAYS_OUT_HPP
