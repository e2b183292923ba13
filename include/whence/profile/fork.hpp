// SPDX-License-Identifier: Apache-2.0
//
// A child of fork has one thread, and every lock as it was: so the forking thread holds them all
// across the call, and the child finds them free and every map whole.
//
// Each module registers its own handlers, because glibc drops a registration with the module that
// made it; of several the first one to run does the work.
#ifndef WHENCE_PROFILE_FORK_HPP
#define WHENCE_PROFILE_FORK_HPP

#include <pthread.h>
#include <unistd.h>

#include <whence/profile/process_state.hpp>
#include <whence/sys/loader.hpp>

namespace whence::inline v1::core {

struct fork_handlers {
  [[gnu::visibility("hidden")]] static inline constinit std::atomic<bool> installed{false};

  // Requires: called once a module.
  static void install(process_state& s) noexcept {
    held_.store(&s, std::memory_order_release);
    ::pthread_atfork(&before, &in_parent, &in_child);
  }

 private:
  static void before() noexcept {
    sys::loader_walk.lock();  // first: what walks the list may allocate, and so take others
    process_state& s = *held_.load(std::memory_order_acquire);
    if (s.fork_owner.load(std::memory_order_relaxed) != ::gettid()) {
      s.forking.lock();
      s.fork_owner.store(::gettid(), std::memory_order_relaxed);
      s.opening.lock();
      s.knobs.lock();
      s.profiles.lock().lock();
      s.blocks.lock_all();
      s.values.lock_all();
      s.wide_values.lock_all();
    }
    ++s.fork_depth;
  }

  static void in_parent() noexcept {
    process_state& s = *held_.load(std::memory_order_acquire);
    if (--s.fork_depth == 0) release(s);
    sys::loader_walk.unlock();
  }

  // Children would all draw the parent's next numbers: a new epoch makes the child draw its own.
  static void in_child() noexcept {
    process_state& s = *held_.load(std::memory_order_acquire);
    const std::int64_t floor = s.heap_floor.load(std::memory_order_relaxed);
    if (floor < last_epoch && s.heap_rate.load(std::memory_order_relaxed) > 0) {
      s.heap_floor.store(floor + epoch, std::memory_order_relaxed);
      own_state.own_gate.floor.store(floor + epoch, std::memory_order_relaxed);
    }
    in_parent();
  }

  static void release(process_state& s) noexcept {
    s.wide_values.unlock_all();
    s.values.unlock_all();
    s.blocks.unlock_all();
    s.profiles.lock().unlock();
    s.knobs.unlock();
    s.opening.unlock();
    s.fork_owner.store(0, std::memory_order_relaxed);
    s.forking.unlock();
  }

  [[gnu::visibility("hidden")]] static inline constinit std::atomic<process_state*> held_{nullptr};
};

}  // namespace whence::inline v1::core

#endif  // WHENCE_PROFILE_FORK_HPP
