// SPDX-License-Identifier: Apache-2.0
//
// A child of fork has one thread, and every lock as it was: so the forking thread holds them all
// across the call, and the child finds them free and every map whole.
//
// Ours have to be the last locks taken, since a program's own handler may take a lock whose holder
// is about to record something. Handlers that prepare run in the reverse order of registration:
// hence each module registers before its other constructors run. (Each for itself, because glibc
// drops a registration with the module that made it; of several the first one to run does the
// work.)
#ifndef WHENCE_PROFILE_FORK_HPP
#define WHENCE_PROFILE_FORK_HPP

#include <pthread.h>
#include <unistd.h>

#include <atomic>

#include <whence/profile/process_state.hpp>
#include <whence/sys/loader.hpp>
#include <whence/sys/random.hpp>

namespace whence::inline v1::core {

// Hidden: each module registers its own functions, whatever it exports.
struct [[gnu::visibility("hidden")]] fork_handlers {
  // Thread-safe; once a module does it.
  static void install() noexcept {
    if (!installed_.exchange(true)) ::pthread_atfork(&before, &in_parent, &in_child);
  }

  // From here on the locks of `s` are held across a fork.
  static void protect(process_state & s) noexcept {
    install();
    protected_.store(&s, std::memory_order_release);
  }

 private:
  static void before() noexcept {
    sys::loader_walk.lock();  // first: what walks the list may allocate, and so take others
    held_ = protected_.load(std::memory_order_acquire);
    if (held_ == nullptr) return;
    process_state& s = *held_;
    if (s.fork_owner.load(std::memory_order_relaxed) != ::gettid()) {
      s.forking.lock();
      s.fork_owner.store(::gettid(), std::memory_order_relaxed);
      s.opening.lock();
      s.knobs.lock();
      s.profiles.lock().lock();
      s.labels.lock().lock();
      s.blocks.lock_all();
      s.values.lock_all();
      s.wide_values.lock_all();
    }
    ++s.fork_depth;
  }

  static void in_parent() noexcept {
    if (held_ != nullptr && --held_->fork_depth == 0) release(*held_);
    sys::loader_walk.unlock();
  }

  // Children would all sample where the parent's next samples are, and by its next numbers: a new
  // epoch makes the child draw its own.
  static void in_child() noexcept {
    if (held_ != nullptr) {
      held_->heap.start_epoch();
      held_->holds.start_epoch();
      own_state.own_gate.floor.store(held_->heap.gate_floor(), std::memory_order_relaxed);
      own_state.own_gate.hold_floor.store(held_->holds.gate_floor(), std::memory_order_relaxed);
      held_->waits.forget_other_threads();
    }
    sys::forget_random();
    in_parent();
  }

  static void release(process_state & s) noexcept {
    s.wide_values.unlock_all();
    s.values.unlock_all();
    s.blocks.unlock_all();
    s.labels.lock().unlock();
    s.profiles.lock().unlock();
    s.knobs.unlock();
    s.opening.unlock();
    s.fork_owner.store(0, std::memory_order_relaxed);
    s.forking.unlock();
  }

  static inline constinit std::atomic<bool> installed_{false};
  static inline constinit std::atomic<process_state*> protected_{nullptr};
  // Of the fork under way. Guarded by sys::loader_walk, which each module has its own of.
  static inline constinit process_state* held_{nullptr};
};

// 101: the first that is not the implementation's.
[[gnu::constructor(101), gnu::used]] static void install_fork_handlers() noexcept {
  fork_handlers::install();
}

}  // namespace whence::inline v1::core

#endif  // WHENCE_PROFILE_FORK_HPP
