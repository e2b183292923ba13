// SPDX-License-Identifier: Apache-2.0
//
// Four threads dump all threads, while threads and coroutines begin and end all the time on stacks
// of all kinds, some of them with all signals blocked, children are made by vfork, and another
// process stops and traces the lasting threads.
//
// What must hold, and is checked in every dump:
//   lasting    none of the threads that are there throughout is missing, whether it sleeps or runs.
//   stacks     of those that sleep, the stack goes from its own function to its thread's start.
//   sleeps     no call of any thread ends with EINTR, and no thread is given a signal it has not
//              been sent.
//
// dumps [--seconds N]: fails for any of these, for a crash or a hang, and for a part that never
// ran.
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <coroutine>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "support/sanitizers.hpp"
#include <whence/coroutine.hpp>
#include <whence/labels.hpp>
#include <whence/profile.hpp>
#include <whence/thread.hpp>

namespace {

std::atomic<bool> stop{false};  // stops the short-lived parts and the dumps first
std::atomic<bool> over{false};  // then stops the lasting threads
std::atomic<int> traced{0};
std::atomic<int> failures{0};

void must(bool holds, const char* what) {
  if (holds) return;
  if (++failures < 20) std::fprintf(stderr, "FAILED: %s (errno %d)\n", what, errno);
}

// ---- threads that are there throughout: each in a function of its own name, until the door is
// shut

int door[2];  // a pipe that nothing is written to

bool shut(const char* what, bool ended_well) {
  must(over || ended_well, what);
  return over;
}

[[gnu::noinline]] void lasting_poll() {
  pollfd p{door[0], POLLIN, 0};
  while (!shut("poll", ::poll(&p, 1, -1) == 1)) {
  }
}
[[gnu::noinline]] void lasting_epoll() {
  const int e = ::epoll_create1(EPOLL_CLOEXEC);
  epoll_event event{};
  event.events = EPOLLIN;
  ::epoll_ctl(e, EPOLL_CTL_ADD, door[0], &event);
  while (!shut("epoll_wait", ::epoll_wait(e, &event, 1, -1) == 1)) {
  }
  ::close(e);
}
[[gnu::noinline]] void lasting_read() {
  char c = 0;
  while (!shut("read", ::read(door[0], &c, 1) == 0)) {
  }
}
[[gnu::noinline]] void lasting_nanosleep() {
  const timespec t{0, 200'000'000};
  while (!shut("nanosleep", ::nanosleep(&t, nullptr) == 0)) {
  }
}
[[gnu::noinline]] void lasting_sigtimedwait() {
  sigset_t all;
  sigemptyset(&all);
  sigaddset(&all, SIGUSR1);
  const timespec t{0, 200'000'000};
  while (!shut("sigtimedwait", ::sigtimedwait(&all, nullptr, &t) == -1 && errno == EAGAIN)) {
  }
}
[[gnu::noinline]] void lasting_blocked() {
  sigset_t all;
  sigfillset(&all);
  ::pthread_sigmask(SIG_BLOCK, &all, nullptr);
  lasting_poll();
}
std::atomic<int> gate_word{0};
[[gnu::noinline]] void lasting_futex() {
  while (!over) gate_word.wait(0);
}
[[gnu::noinline]] void lasting_runner() {
  volatile double x = 1;
  while (!over) x = x * 1.0000001 + 0.1;
}
[[gnu::noinline]] void lasting_blocked_runner() {
  sigset_t all;
  sigfillset(&all);
  ::pthread_sigmask(SIG_BLOCK, &all, nullptr);
  for (volatile unsigned x = 1; !over;) {
    x = x * 1664525 + 1013904223;
    if (x % 1000 == 0) ::sched_yield();
  }
}

struct lasting {
  const char* function;
  void (*body)();
  bool sleeps;
};
constexpr lasting kinds[] = {
    {"lasting_poll", &lasting_poll, true},
    {"lasting_epoll", &lasting_epoll, true},
    {"lasting_read", &lasting_read, true},
    {"lasting_nanosleep", &lasting_nanosleep, true},
    {"lasting_sigtimedwait", &lasting_sigtimedwait, true},
    {"lasting_blocked", &lasting_blocked, true},
    {"lasting_futex", &lasting_futex, true},
    {"lasting_runner", &lasting_runner, false},
    {"lasting_blocked_runner", &lasting_blocked_runner, false},
};

// A thread of a kind, on its own stack or on libc's, started through an indirect call.
class lasting_thread {
 public:
  lasting_thread(void (*body)(), bool own_stack) : body_(body) {
    pthread_attr_t attributes;
    ::pthread_attr_init(&attributes);
    if (own_stack) {
      stack_ = ::mmap(nullptr, stack_bytes, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
      ::pthread_attr_setstack(&attributes, stack_, stack_bytes);
    }
    must(::pthread_create(&thread_, &attributes, &run, this) == 0, "pthread_create");
    ::pthread_attr_destroy(&attributes);
    while (tid_ == 0) ::usleep(100);
  }
  ~lasting_thread() {
    ::pthread_join(thread_, nullptr);
    if (stack_ != nullptr) ::munmap(stack_, stack_bytes);
  }
  lasting_thread(const lasting_thread&) = delete;
  lasting_thread& operator=(const lasting_thread&) = delete;

  pid_t tid() const { return tid_; }

 private:
  static constexpr std::size_t stack_bytes = 256 * 1024;

  static void* run(void* self) {
    auto* const me = static_cast<lasting_thread*>(self);
    me->tid_ = ::gettid();
    me->body_();
    return nullptr;
  }

  void (*body_)();
  void* stack_ = nullptr;
  pthread_t thread_{};
  std::atomic<pid_t> tid_{0};
};

// ---- what comes and goes

void* ends_at_once(void*) {
  return nullptr;
}

void* blocks_and_ends(void*) {
  sigset_t all;
  sigfillset(&all);
  ::pthread_sigmask(SIG_BLOCK, &all, nullptr);
  ::usleep(100);
  return nullptr;
}

void churn_threads() {
  constexpr std::size_t bytes = 256 * 1024;
  for (int turn = 0; !stop; ++turn) {
    switch (turn % 5) {
      case 0:
        std::thread([] { ::usleep(50); }).join();
        break;
      case 1:
        std::thread([] {
          volatile int x = 0;
          while (x < 10000) x = x + 1;
        }).detach();
        break;
      case 2: {
        const whence::scoped_labels l{{"churn", turn % 2 == 0 ? "even" : "odd"}};
        whence::tracked_thread(whence::thread_name{"churn"}, [] { ::usleep(50); }).join();
        break;
      }
      case 3: {
        // Its stack is gone as soon as it has ended.
        void* const stack = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE,
                                   MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
        pthread_attr_t attributes;
        ::pthread_attr_init(&attributes);
        ::pthread_attr_setstack(&attributes, stack, bytes);
        pthread_t t{};
        must(::pthread_create(&t, &attributes, &blocks_and_ends, nullptr) == 0, "pthread_create");
        ::pthread_join(t, nullptr);
        ::pthread_attr_destroy(&attributes);
        ::munmap(stack, bytes);
        break;
      }
      default: {
        pthread_t t{};
        must(::pthread_create(&t, nullptr, &ends_at_once, nullptr) == 0, "pthread_create");
        ::pthread_join(t, nullptr);
      }
    }
  }
}

struct job {
  struct promise_type : whence::tracked_promise {
    job get_return_object() { return {std::coroutine_handle<promise_type>::from_promise(*this)}; }
    auto initial_suspend() noexcept { return at_start(std::suspend_always{}); }
    std::suspend_always final_suspend() noexcept { return {}; }
    void return_void() noexcept {}
    void unhandled_exception() noexcept { std::terminate(); }
  };
  std::coroutine_handle<promise_type> own;
};

job lasting_coroutine() {
  while (!stop) co_await std::suspend_always{};
}
job passing_coroutine(int steps) {
  for (int i = 0; i < steps; ++i) co_await std::suspend_always{};
}

void churn_coroutines() {
  for (int turn = 0; !stop; ++turn) {
    const job j = passing_coroutine(turn % 7);
    for (int i = 0; i < 3 && !j.own.done(); ++i) j.own.resume();
    j.own.destroy();
  }
}

// ---- other processes

void wait_for(pid_t child, const char* what) {
  int status = -1;
  while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  must(WIFEXITED(status) && WEXITSTATUS(status) == 0, what);
}

void make_children() {
  char program[] = "/bin/true";
  char* const arguments[] = {program, nullptr};
  while (!stop) {
    const pid_t child = ::vfork();
    if (child == 0) {
      ::execv(program, arguments);
      ::_exit(1);
    }
    wait_for(child, "vfork and exec");
    ::usleep(5000);
  }
}

// A process that stops a thread of ours for a moment, again and again, like a debugger. Returns 2
// if it is forbidden (Yama, seccomp).
int trace(pid_t tid) {
  for (int i = 0; i < 50; ++i) {
    if (::ptrace(PTRACE_SEIZE, tid, nullptr, nullptr) != 0) return 2;
    ::ptrace(PTRACE_INTERRUPT, tid, nullptr, nullptr);
    int status = 0;
    if (::waitpid(tid, &status, __WALL) != tid) return 1;
    ::usleep(5000);
    if (::ptrace(PTRACE_DETACH, tid, nullptr, nullptr) != 0) return 1;
    ::usleep(1000);
  }
  return 0;
}

// Traces kinds whose calls continue by themselves afterwards.
void trace_some(const std::vector<pid_t>& tids) {
  ::prctl(PR_SET_PTRACER, PR_SET_PTRACER_ANY, 0, 0, 0);
  constexpr std::size_t poller = 0, runner = 7;
  for (int turn = 0; !stop; ++turn) {
    const pid_t tid = tids[turn % 2 == 0 ? poller : runner];
    const pid_t child = ::fork();
    if (child == 0) ::_exit(trace(tid));
    int status = -1;
    while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {
    }
    if (WIFEXITED(status) && WEXITSTATUS(status) == 2) return;
    must(WIFEXITED(status) && WEXITSTATUS(status) == 0, "a tracer");
    ++traced;
  }
}

// ---- the dumps

std::atomic<int> dumps{0};

// The blocks of a dump with debug=2.
std::vector<std::string_view> blocks_of(std::string_view text) {
  std::vector<std::string_view> blocks;
  while (!text.empty()) {
    const std::size_t end = text.find("\n\n");
    blocks.push_back(text.substr(0, end));
    text.remove_prefix(end == text.npos ? text.size() : end + 2);
  }
  return blocks;
}

void check(const std::string& text, const std::vector<pid_t>& tids) {
  const std::vector<std::string_view> blocks = blocks_of(text);
  for (std::size_t i = 0; i < tids.size(); ++i) {
    const lasting& kind = kinds[i % std::size(kinds)];
    const std::string head = "goroutine " + std::to_string(tids[i]) + " [";
    std::string_view found;
    for (const std::string_view b : blocks) {
      if (b.starts_with(head)) found = b;
    }
    must(!found.empty(), "a lasting thread is there");
    const bool asleep =
        kind.sleeps && found.find(" [running") == found.npos && found.find("stopped") == found.npos;
    if (!asleep || sanitized) continue;
    const bool whole =
        found.find(kind.function) != found.npos &&
        (found.find("start_thread") != found.npos || found.find("clone3") != found.npos);
    must(whole, kind.function);
    if (!whole && failures < 5) {
      std::fprintf(stderr, "%.*s\n", static_cast<int>(found.size()), found.data());
    }
  }
  must(text.find("lasting_coroutine") != text.npos, "the lasting coroutine is there");
}

void dump_all(const std::vector<pid_t>& tids) {
  const whence::profile& p = *whence::lookup("goroutine");
  for (int turn = 0; !stop; ++turn) {
    std::string text;
    must(!p.write_to(text, turn % 3), "a dump");
    if (turn % 3 == 2) check(text, tids);
    ++dumps;
  }
}

}  // namespace

int main(int count, char** arguments) {
  int seconds = 5;
  for (int i = 1; i + 1 < count; i += 2) {
    if (std::strcmp(arguments[i], "--seconds") == 0) seconds = std::atoi(arguments[i + 1]);
  }
  // Only threads whose sleep SIGCHLD does not end receive it.
  sigset_t child;
  sigemptyset(&child);
  sigaddset(&child, SIGCHLD);
  ::pthread_sigmask(SIG_BLOCK, &child, nullptr);
  must(::pipe2(door, O_CLOEXEC) == 0, "pipe2");

  // Each kind twice: on a stack of libc's, and on one of the program's.
  std::vector<std::unique_ptr<lasting_thread>> lasting_ones;
  std::vector<pid_t> tids;
  for (const bool own_stack : {false, true}) {
    for (const lasting& kind : kinds) {
      lasting_ones.push_back(std::make_unique<lasting_thread>(kind.body, own_stack));
      tids.push_back(lasting_ones.back()->tid());
    }
  }
  const job coroutine = lasting_coroutine();
  coroutine.own.resume();
  coroutine.own.resume();
  ::usleep(100'000);

  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) threads.emplace_back(dump_all, std::cref(tids));
  threads.emplace_back(churn_threads);
  threads.emplace_back(churn_coroutines);
  threads.emplace_back(make_children);
  threads.emplace_back(trace_some, std::cref(tids));
  ::usleep(static_cast<useconds_t>(seconds) * 1'000'000);
  stop = true;
  for (std::thread& t : threads) t.join();
  coroutine.own.destroy();
  over = true;
  gate_word = 1;
  gate_word.notify_all();
  ::close(door[1]);
  lasting_ones.clear();
  must(dumps > 0, "dumps were taken");
  std::printf("%d dumps, %d times traced\n%s\n", dumps.load(), traced.load(),
              failures == 0 ? "passed" : "failed");
  return failures == 0 ? 0 : 1;
}
