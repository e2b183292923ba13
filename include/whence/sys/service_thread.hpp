// SPDX-License-Identifier: Apache-2.0
//
// A thread of the library's own: it takes no signal of the program's, sleeps until a given time or
// until it is roused or asked to end, and is joined. It uses pthread, because <thread> is 30 000
// lines.
//
// start and stop are called one at a time, never in the thread itself. A child of fork has no such
// thread, and must not use an object that had one.
#ifndef WHENCE_SYS_SERVICE_THREAD_HPP
#define WHENCE_SYS_SERVICE_THREAD_HPP

#include <linux/futex.h>
#include <pthread.h>
#include <signal.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <atomic>
#include <cstdint>

#include <whence/sys/clock.hpp>
#include <whence/sys/inside_library.hpp>

namespace whence::inline v1::sys {

class service_thread {
 public:
  // Runs `body(argument)` in a thread of that name, at most 15 characters. Returns 0 or the
  // system's error. If it returns 0, stop() joins the thread, even if the body has ended before.
  int start(void (*body)(void*), void* argument, const char* name) noexcept {
    body_ = body;
    argument_ = argument;
    name_ = name;
    ending_.store(0, std::memory_order_relaxed);
    tid_.store(0, std::memory_order_relaxed);
    has_begun_.store(0, std::memory_order_relaxed);
    sigset_t all;
    sigset_t before;
    ::sigfillset(&all);
    ::pthread_sigmask(SIG_SETMASK, &all, &before);
    const int error = ::pthread_create(&thread_, nullptr, &run, this);
    ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
    if (error != 0) return error;
    // A dump of all threads must know this one as the library's. It may have ended by now.
    while (has_begun_.load(std::memory_order_acquire) == 0) wait(has_begun_, 0, nullptr);
    return 0;
  }

  // Asks it to end, and waits until it has.
  void stop() noexcept {
    ending_.store(1, std::memory_order_release);
    wake(ending_);
    ::pthread_join(thread_, nullptr);
    tid_.store(0, std::memory_order_relaxed);
  }

  // Ends its sleep, or the next one if it does not sleep. Signal-safe.
  void rouse() noexcept {
    std::int32_t none = 0;
    ending_.compare_exchange_strong(none, roused, std::memory_order_release);
    wake(ending_);
  }

  // Called in the thread: returns false at once when it is to end. Times are sys::monotonic_ns.
  bool sleep_until(std::int64_t time_ns) noexcept {
    timespec until{};
    until.tv_sec = static_cast<time_t>(time_ns / 1'000'000'000);
    until.tv_nsec = static_cast<long>(time_ns % 1'000'000'000);
    std::int32_t now = 0;
    while ((now = ending_.load(std::memory_order_acquire)) == 0) {
      if (monotonic_ns() >= time_ns) return true;
      wait(ending_, 0, &until);
    }
    return now == roused && ending_.compare_exchange_strong(now, 0, std::memory_order_acquire);
  }

  bool runs() const noexcept { return tid() != 0; }

  // Returns 0 while the thread does not run.
  ::pid_t tid() const noexcept { return tid_.load(std::memory_order_acquire); }

  // CPU time of all threads this object has had.
  std::int64_t cpu_ns() const noexcept {
    const ::pid_t running = tid();
    const std::int64_t live = running == 0 ? -1 : thread_cpu_ns(running);
    const std::int64_t ended = ended_ns_.load(std::memory_order_relaxed);
    return live > 0 ? ended + live : ended;
  }

 private:
  static constexpr std::int32_t roused = 2;

  static void* run(void* self) noexcept {
    const inside_scope inside;
    auto& me = *static_cast<service_thread*>(self);
    ::pthread_setname_np(::pthread_self(), me.name_);
    me.tid_.store(::gettid(), std::memory_order_relaxed);
    me.has_begun_.store(1, std::memory_order_release);
    wake(me.has_begun_);
    me.body_(me.argument_);
    const std::int64_t mine = clock_ns(CLOCK_THREAD_CPUTIME_ID);
    me.tid_.store(0, std::memory_order_relaxed);
    me.ended_ns_.fetch_add(mine, std::memory_order_relaxed);
    return nullptr;
  }

  // Sleeps until an absolute time, if one is given; may return early for any reason.
  template <class T>
  static void wait(std::atomic<T>& word, T value, const timespec* until) noexcept {
    ::syscall(SYS_futex, &word, FUTEX_WAIT_BITSET_PRIVATE, value, until, nullptr,
              FUTEX_BITSET_MATCH_ANY);
  }
  template <class T>
  static void wake(std::atomic<T>& word) noexcept {
    static_assert(sizeof word == 4);
    ::syscall(SYS_futex, &word, FUTEX_WAKE_PRIVATE, INT32_MAX, nullptr, nullptr, 0);
  }

  ::pthread_t thread_{};
  void (*body_)(void*) = nullptr;
  void* argument_ = nullptr;
  const char* name_ = "";
  std::atomic<std::int32_t> ending_{0};  // 1: it is to end
  std::atomic<std::int32_t> has_begun_{0};
  std::atomic<::pid_t> tid_{0};
  std::atomic<std::int64_t> ended_ns_{0};
};

}  // namespace whence::inline v1::sys

#endif  // WHENCE_SYS_SERVICE_THREAD_HPP
