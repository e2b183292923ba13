// SPDX-License-Identifier: Apache-2.0
//
// The library's own threads, of samplers and servers. Profiles show only what they cost.
#ifndef WHENCE_SAMPLERS_LIBRARY_THREADS_HPP
#define WHENCE_SAMPLERS_LIBRARY_THREADS_HPP

#include <sys/types.h>
#include <time.h>
#include <unistd.h>

#include <atomic>
#include <cstddef>
#include <cstdint>

#include <whence/instruments/birth.hpp>
#include <whence/sys/clock.hpp>
#include <whence/sys/service_thread.hpp>

namespace whence::inline v1::samplers {

struct library_threads {
  sys::service_thread cpu_watcher, wall_clock;

  // Returns 0, or the system's error.
  static int start(sys::service_thread& thread, void (*body)(void*), void* argument,
                   const char* name) noexcept {
    const instruments::unrecorded_start ours;
    return thread.start(body, argument, name);
  }

  bool has(::pid_t tid) const noexcept {
    if (tid == cpu_watcher.tid() || tid == wall_clock.tid()) return true;
    for (std::size_t i = 0; i < used_.load(std::memory_order_acquire); ++i) {
      if (others_[i].load(std::memory_order_acquire) == tid) return true;
    }
    return false;
  }

  std::int64_t cpu_ns() const noexcept {
    std::int64_t sum = cpu_watcher.cpu_ns() + wall_clock.cpu_ns() +
                       others_ended_ns_.load(std::memory_order_relaxed);
    for (std::size_t i = 0; i < used_.load(std::memory_order_acquire); ++i) {
      const ::pid_t tid = others_[i].load(std::memory_order_acquire);
      const std::int64_t one = tid == 0 ? 0 : sys::thread_cpu_ns(tid);
      sum += one > 0 ? one : 0;
    }
    return sum;
  }

  // Registers the calling thread until it calls leave(). False if there is no room: profiles then
  // show it.
  bool join() noexcept {
    const ::pid_t self = ::gettid();
    for (std::size_t i = 0; i < most_others; ++i) {
      ::pid_t none = 0;
      if (!others_[i].compare_exchange_strong(none, self, std::memory_order_acq_rel)) continue;
      std::size_t used = used_.load(std::memory_order_relaxed);
      while (used <= i && !used_.compare_exchange_weak(used, i + 1, std::memory_order_acq_rel)) {
      }
      return true;
    }
    return false;
  }
  void leave() noexcept {
    const ::pid_t self = ::gettid();
    for (auto& other : others_) {
      if (other.load(std::memory_order_relaxed) != self) continue;
      const std::int64_t mine = sys::clock_ns(CLOCK_THREAD_CPUTIME_ID);
      other.store(0, std::memory_order_release);
      others_ended_ns_.fetch_add(mine, std::memory_order_relaxed);
    }
  }

 private:
  static constexpr std::size_t most_others = 1024;

  std::atomic<::pid_t> others_[most_others]{};
  std::atomic<std::size_t> used_{0};  // how many of them have ever been taken
  std::atomic<std::int64_t> others_ended_ns_{0};
};

}  // namespace whence::inline v1::samplers

#endif  // WHENCE_SAMPLERS_LIBRARY_THREADS_HPP
