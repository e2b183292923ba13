// SPDX-License-Identifier: Apache-2.0
//
// A library for LD_PRELOAD by which the system fails at the Nth call of one function, as it does
// when memory, descriptors or threads are used up:
//
//   FAULTS_CALL   the function: one of those below, or `new` for operator new; perf_event_open,
//                 timer_create and the like if they are called by syscall()
//   FAULTS_AT     N, from 1; 0: none fails
//   FAULTS_ERROR  the value of errno
//   FAULTS_ALL    1: all later calls fail, too
//
// Calls are counted between faults_begin() and faults_end(), in all threads but those that are
// within a faults_pause of faults_subject.cpp, which are the program's own.
#include <dlfcn.h>
#include <fcntl.h>
#include <pthread.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdarg>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <new>

namespace {

struct fault {
  char call[32];
  long at;
  int error;
  bool all;
};
fault wanted{};
std::atomic<bool> is_begun{false};
std::atomic<long> calls{0};
std::atomic<long> failed{0};
[[gnu::tls_model("initial-exec")]] thread_local int paused = 0;

bool fails(const char* call) noexcept {
  if (!is_begun.load(std::memory_order_relaxed) || paused != 0) return false;
  if (std::strcmp(call, wanted.call) != 0) return false;
  const long n = calls.fetch_add(1) + 1;
  if (wanted.at == 0 || n < wanted.at || (n > wanted.at && !wanted.all)) return false;
  failed.fetch_add(1);
  errno = wanted.error;
  return true;
}

template <class F>
F* real(F*, const char* name) noexcept {
  return reinterpret_cast<F*>(::dlsym(RTLD_NEXT, name));
}

}  // namespace

extern "C" {

void faults_begin() {
  calls = 0;
  is_begun = true;
}
long faults_end() {
  is_begun = false;
  return calls;
}
long faults_failed() {
  return failed;
}
void faults_pause_by(int n) {
  paused += n;
}

#define REAL(name) static const auto it = real(&::name, #name)

void* mmap(void* at, size_t size, int protection, int flags, int file, off_t offset) noexcept {
  REAL(mmap);
  return fails("mmap") ? MAP_FAILED : it(at, size, protection, flags, file, offset);
}
void* mremap(void* at, size_t before, size_t size, int flags, ...) noexcept {
  REAL(mremap);
  return fails("mremap") ? MAP_FAILED : it(at, before, size, flags);
}
int open(const char* path, int flags, ...) {
  REAL(open);
  va_list more;
  va_start(more, flags);
  const mode_t mode = (flags & (O_CREAT | __O_TMPFILE)) != 0 ? va_arg(more, mode_t) : 0;
  va_end(more);
  return fails("open") ? -1 : it(path, flags, mode);
}
int open64(const char* path, int flags, ...) {
  REAL(open64);
  va_list more;
  va_start(more, flags);
  const mode_t mode = (flags & (O_CREAT | __O_TMPFILE)) != 0 ? va_arg(more, mode_t) : 0;
  va_end(more);
  return fails("open") ? -1 : it(path, flags, mode);
}
FILE* fopen(const char* path, const char* mode) {
  REAL(fopen);
  return fails("open") ? nullptr : it(path, mode);
}
ssize_t read(int file, void* to, size_t size) {
  REAL(read);
  return fails("read") ? -1 : it(file, to, size);
}
ssize_t pread(int file, void* to, size_t size, off_t from) {
  REAL(pread);
  return fails("read") ? -1 : it(file, to, size, from);
}
ssize_t write(int file, const void* from, size_t size) {
  REAL(write);
  return fails("write") ? -1 : it(file, from, size);
}
int fstat(int file, struct stat* to) noexcept {
  REAL(fstat);
  return fails("fstat") ? -1 : it(file, to);
}
int memfd_create(const char* name, unsigned flags) noexcept {
  REAL(memfd_create);
  return fails("memfd_create") ? -1 : it(name, flags);
}
int pthread_create(pthread_t* thread, const pthread_attr_t* how, void* (*body)(void*),
                   void* argument) noexcept {
  REAL(pthread_create);
  return fails("pthread_create") ? wanted.error : it(thread, how, body, argument);
}
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wshadow"  // it hides the structure's constructor, as in <signal.h>
int sigaction(int number, const struct sigaction* to, struct sigaction* before) noexcept {
  REAL(sigaction);
  return fails("sigaction") ? -1 : it(number, to, before);
}
#pragma GCC diagnostic pop
int socket(int family, int type, int protocol) noexcept {
  REAL(socket);
  return fails("socket") ? -1 : it(family, type, protocol);
}
int bind(int s, const sockaddr* to, socklen_t size) noexcept {
  REAL(bind);
  return fails("bind") ? -1 : it(s, to, size);
}
int listen(int s, int most) noexcept {
  REAL(listen);
  return fails("listen") ? -1 : it(s, most);
}
int accept4(int s, sockaddr* from, socklen_t* size, int flags) {
  REAL(accept4);
  return fails("accept4") ? -1 : it(s, from, size, flags);
}
ssize_t recv(int s, void* to, size_t size, int flags) {
  REAL(recv);
  return fails("recv") ? -1 : it(s, to, size, flags);
}
ssize_t send(int s, const void* from, size_t size, int flags) {
  REAL(send);
  return fails("send") ? -1 : it(s, from, size, flags);
}
int epoll_create1(int flags) noexcept {
  REAL(epoll_create1);
  return fails("epoll_create1") ? -1 : it(flags);
}
int epoll_ctl(int e, int how, int file, epoll_event* event) noexcept {
  REAL(epoll_ctl);
  return fails("epoll_ctl") ? -1 : it(e, how, file, event);
}
int epoll_wait(int e, epoll_event* events, int most, int milliseconds) {
  REAL(epoll_wait);
  return fails("epoll_wait") ? -1 : it(e, events, most, milliseconds);
}
int eventfd(unsigned value, int flags) noexcept {
  static const auto it = reinterpret_cast<int (*)(unsigned, int)>(::dlsym(RTLD_NEXT, "eventfd"));
  return fails("eventfd") ? -1 : it(value, flags);
}
long syscall(long number, ...) noexcept {
  static const auto it = reinterpret_cast<long (*)(long, ...)>(::dlsym(RTLD_NEXT, "syscall"));
  const int before = errno;
  long a[6];
  va_list more;
  va_start(more, number);
  for (long& one : a) one = va_arg(more, long);
  va_end(more);
  const char* const name = number == SYS_perf_event_open    ? "perf_event_open"
                           : number == SYS_timer_create     ? "timer_create"
                           : number == SYS_getdents64       ? "getdents64"
                           : number == SYS_openat           ? "open"
                           : number == SYS_pread64          ? "read"
                           : number == SYS_process_vm_readv ? "process_vm_readv"
                                                            : nullptr;
  if (name != nullptr && fails(name)) return -1;
  errno = before;
  return it(number, a[0], a[1], a[2], a[3], a[4], a[5]);
}

[[gnu::constructor]] static void learn() {
  const auto number = [](const char* name) {
    const char* const text = std::getenv(name);
    return text == nullptr ? 0L : std::atol(text);
  };
  if (const char* const call = std::getenv("FAULTS_CALL")) {
    std::strncpy(wanted.call, call, sizeof wanted.call - 1);
  }
  wanted.at = number("FAULTS_AT");
  wanted.error = static_cast<int>(number("FAULTS_ERROR"));
  wanted.all = number("FAULTS_ALL") != 0;
}

}  // extern "C"

void* operator new(std::size_t size) {
  void* const p = fails("new") ? nullptr : std::malloc(size);
  if (p == nullptr) throw std::bad_alloc();
  return p;
}
void* operator new(std::size_t size, const std::nothrow_t&) noexcept {
  return fails("new") ? nullptr : std::malloc(size);
}
void operator delete(void* p) noexcept {
  std::free(p);
}
void operator delete(void* p, std::size_t) noexcept {
  std::free(p);
}
