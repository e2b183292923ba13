// SPDX-License-Identifier: Apache-2.0
//
// A library for LD_PRELOAD by which the system fails at the Nth call of one function, as it does
// when memory, descriptors or threads are used up:
//
//   FAULTS_CALL   the function: one of `names` below; `new` is operator new, `malloc` also calloc
//   and
//                 realloc, but not operator new's; perf_event_open, timer_create and the like if
//                 they are called by syscall()
//   FAULTS_AT     N, from 1; 0: none fails
//   FAULTS_ERROR  the value of errno
//   FAULTS_ALL    1: all later calls fail, too
//
// Calls of all functions are counted between faults_begin() and faults_end(), in children of fork
// too, and in all threads but those that are within a faults_pause of faults_subject.cpp, which are
// the program's own.
#include <dlfcn.h>
#include <fcntl.h>
#include <pthread.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdarg>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <new>

namespace {

constexpr const char* names[] = {"mmap",          "mremap",     "open",
                                 "read",          "write",      "fstat",
                                 "memfd_create",  "getdents64", "pthread_create",
                                 "sigaction",     "socket",     "timer_create",
                                 "bind",          "listen",     "perf_event_open",
                                 "accept4",       "recv",       "process_vm_readv",
                                 "epoll_create1", "send",       "epoll_ctl",
                                 "epoll_wait",    "eventfd",    "new",
                                 "malloc"};
constexpr int functions = sizeof names / sizeof *names;

struct fault {
  int call = -1;  // index of names
  long at;
  int error;
  bool all;
};
struct counts {
  std::atomic<bool> is_begun;
  std::atomic<long> calls[functions];
  std::atomic<long> failed;
};
fault wanted{};
counts* shared = nullptr;  // with the children
[[gnu::tls_model("initial-exec")]] thread_local int paused = 0;

constexpr int number_of(const char* name) {
  for (int i = 0; i < functions; ++i) {
    const char* a = names[i];
    const char* b = name;
    while (*a != '\0' && *a == *b) ++a, ++b;
    if (*a == *b) return i;
  }
  return -1;
}

bool fails(int call) noexcept {
  if (shared == nullptr || !shared->is_begun.load(std::memory_order_relaxed) || paused != 0) {
    return false;
  }
  const long n = shared->calls[call].fetch_add(1) + 1;
  if (call != wanted.call || wanted.at == 0 || n < wanted.at || (n > wanted.at && !wanted.all)) {
    return false;
  }
  shared->failed.fetch_add(1);
  errno = wanted.error;
  return true;
}

#define FAILS(name)                       \
  [] {                                    \
    constexpr int call = number_of(name); \
    static_assert(call >= 0);             \
    return fails(call);                   \
  }()

template <class F>
F* real(F*, const char* name) noexcept {
  return reinterpret_cast<F*>(::dlsym(RTLD_NEXT, name));
}

}  // namespace

extern "C" {

void faults_begin() {
  if (shared != nullptr) shared->is_begun = true;
}
void faults_end() {
  if (shared != nullptr) shared->is_begun = false;
}
long faults_failed() {
  return shared == nullptr ? 0 : shared->failed.load();
}
// The name of a function, and how often it was called; nullptr after the last one.
const char* faults_calls(int i, long* calls) {
  if (shared == nullptr || i >= functions) return nullptr;
  *calls = shared->calls[i];
  return names[i];
}
void faults_pause_by(int n) {
  paused += n;
}

#define REAL(name) static const auto it = real(&::name, #name)

void* mmap(void* at, size_t size, int protection, int flags, int file, off_t offset) noexcept {
  REAL(mmap);
  return FAILS("mmap") ? MAP_FAILED : it(at, size, protection, flags, file, offset);
}
void* mremap(void* at, size_t before, size_t size, int flags, ...) noexcept {
  REAL(mremap);
  return FAILS("mremap") ? MAP_FAILED : it(at, before, size, flags);
}
int open(const char* path, int flags, ...) {
  REAL(open);
  va_list more;
  va_start(more, flags);
  const mode_t mode = (flags & (O_CREAT | __O_TMPFILE)) != 0 ? va_arg(more, mode_t) : 0;
  va_end(more);
  return FAILS("open") ? -1 : it(path, flags, mode);
}
int open64(const char* path, int flags, ...) {
  REAL(open64);
  va_list more;
  va_start(more, flags);
  const mode_t mode = (flags & (O_CREAT | __O_TMPFILE)) != 0 ? va_arg(more, mode_t) : 0;
  va_end(more);
  return FAILS("open") ? -1 : it(path, flags, mode);
}
FILE* fopen(const char* path, const char* mode) {
  REAL(fopen);
  return FAILS("open") ? nullptr : it(path, mode);
}
ssize_t read(int file, void* to, size_t size) {
  REAL(read);
  return FAILS("read") ? -1 : it(file, to, size);
}
ssize_t pread(int file, void* to, size_t size, off_t from) {
  REAL(pread);
  return FAILS("read") ? -1 : it(file, to, size, from);
}
ssize_t write(int file, const void* from, size_t size) {
  REAL(write);
  return FAILS("write") ? -1 : it(file, from, size);
}
ssize_t process_vm_readv(pid_t of, const iovec* to, unsigned long parts, const iovec* from,
                         unsigned long pieces, unsigned long flags) noexcept {
  REAL(process_vm_readv);
  return FAILS("process_vm_readv") ? -1 : it(of, to, parts, from, pieces, flags);
}
int fstat(int file, struct stat* to) noexcept {
  REAL(fstat);
  return FAILS("fstat") ? -1 : it(file, to);
}
int memfd_create(const char* name, unsigned flags) noexcept {
  REAL(memfd_create);
  return FAILS("memfd_create") ? -1 : it(name, flags);
}
int pthread_create(pthread_t* thread, const pthread_attr_t* how, void* (*body)(void*),
                   void* argument) noexcept {
  REAL(pthread_create);
  return FAILS("pthread_create") ? wanted.error : it(thread, how, body, argument);
}
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wshadow"  // it hides the structure's constructor, as in <signal.h>
int sigaction(int number, const struct sigaction* to, struct sigaction* before) noexcept {
  REAL(sigaction);
  return FAILS("sigaction") ? -1 : it(number, to, before);
}
#pragma GCC diagnostic pop
int socket(int family, int type, int protocol) noexcept {
  REAL(socket);
  return FAILS("socket") ? -1 : it(family, type, protocol);
}
int bind(int s, const sockaddr* to, socklen_t size) noexcept {
  REAL(bind);
  return FAILS("bind") ? -1 : it(s, to, size);
}
int listen(int s, int most) noexcept {
  REAL(listen);
  return FAILS("listen") ? -1 : it(s, most);
}
int accept4(int s, sockaddr* from, socklen_t* size, int flags) {
  REAL(accept4);
  return FAILS("accept4") ? -1 : it(s, from, size, flags);
}
ssize_t recv(int s, void* to, size_t size, int flags) {
  REAL(recv);
  return FAILS("recv") ? -1 : it(s, to, size, flags);
}
ssize_t send(int s, const void* from, size_t size, int flags) {
  REAL(send);
  return FAILS("send") ? -1 : it(s, from, size, flags);
}
int epoll_create1(int flags) noexcept {
  REAL(epoll_create1);
  return FAILS("epoll_create1") ? -1 : it(flags);
}
int epoll_ctl(int e, int how, int file, epoll_event* event) noexcept {
  REAL(epoll_ctl);
  // Only what is added needs memory.
  return how == EPOLL_CTL_ADD && FAILS("epoll_ctl") ? -1 : it(e, how, file, event);
}
int epoll_wait(int e, epoll_event* events, int most, int milliseconds) {
  REAL(epoll_wait);
  return FAILS("epoll_wait") ? -1 : it(e, events, most, milliseconds);
}
int eventfd(unsigned value, int flags) noexcept {
  static const auto it = reinterpret_cast<int (*)(unsigned, int)>(::dlsym(RTLD_NEXT, "eventfd"));
  return FAILS("eventfd") ? -1 : it(value, flags);
}
long syscall(long number, ...) noexcept {
  static const auto it = reinterpret_cast<long (*)(long, ...)>(::dlsym(RTLD_NEXT, "syscall"));
  const int before = errno;
  long a[6];
  va_list more;
  va_start(more, number);
  for (long& one : a) one = va_arg(more, long);
  va_end(more);
  const int call = number == SYS_perf_event_open ? number_of("perf_event_open")
                   : number == SYS_timer_create  ? number_of("timer_create")
                   : number == SYS_getdents64    ? number_of("getdents64")
                   : number == SYS_openat        ? number_of("open")
                   : number == SYS_pread64       ? number_of("read")
                                                 : -1;
  if (call >= 0 && fails(call)) return -1;
  errno = before;
  return it(number, a[0], a[1], a[2], a[3], a[4], a[5]);
}

[[gnu::constructor]] static void learn() {
  const auto number = [](const char* name) {
    const char* const text = std::getenv(name);
    return text == nullptr ? 0L : std::atol(text);
  };
  const char* const call = std::getenv("FAULTS_CALL");
  wanted.call = call == nullptr ? -1 : number_of(call);
  wanted.at = number("FAULTS_AT");
  wanted.error = static_cast<int>(number("FAULTS_ERROR"));
  wanted.all = number("FAULTS_ALL") != 0;
  void* const pages =
      ::mmap(nullptr, sizeof(counts), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (pages != MAP_FAILED) shared = new (pages) counts{};
}

// glibc's own, because dlsym allocates.
void* __libc_malloc(size_t size);
void* __libc_calloc(size_t count, size_t size);
void* __libc_realloc(void* p, size_t size);

void* malloc(size_t size) {
  return FAILS("malloc") ? nullptr : __libc_malloc(size);
}
void* calloc(size_t count, size_t size) {
  return FAILS("malloc") ? nullptr : __libc_calloc(count, size);
}
void* realloc(void* p, size_t size) {
  return FAILS("malloc") ? nullptr : __libc_realloc(p, size);
}

}  // extern "C"

void* operator new(std::size_t size) {
  void* const p = FAILS("new") ? nullptr : __libc_malloc(size);
  if (p == nullptr) throw std::bad_alloc();
  return p;
}
void* operator new(std::size_t size, const std::nothrow_t&) noexcept {
  return FAILS("new") ? nullptr : __libc_malloc(size);
}
void operator delete(void* p) noexcept {
  std::free(p);
}
void operator delete(void* p, std::size_t) noexcept {
  std::free(p);
}
