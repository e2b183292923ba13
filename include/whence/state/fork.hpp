// SPDX-License-Identifier: Apache-2.0
//
// A child of fork has one thread, and every lock as it was: so the forking thread holds all locks
// across the call, and the child finds them free and every map whole.
//
// The library's locks have to be the last ones taken, because a program's own handler may take a
// lock whose holder is about to record something. Handlers that prepare run in the reverse order of
// registration: hence each module registers before its other constructors run, and holds only the
// locks of its own copy of the root. (If the root is a plugin's, a program's handlers came before
// it.)
#ifndef WHENCE_STATE_FORK_HPP
#define WHENCE_STATE_FORK_HPP

#include <pthread.h>

#include <atomic>

#include <whence/instruments/sample_countdown.hpp>
#include <whence/state/process_state.hpp>
#include <whence/sys/loader.hpp>
#include <whence/sys/random.hpp>
#include <whence/tables/coroutine_records.hpp>
#include <whence/tables/wait_slots.hpp>

namespace whence::inline v1::state {

// Hidden, so that each module registers its own functions, whatever it exports.
struct [[gnu::visibility("hidden")]] fork_handlers {
  // Thread-safe; a module does it once.
  static void install() noexcept {
    if (!installed_.exchange(true)) ::pthread_atfork(&before, &in_parent, &in_child);
  }

 private:
  static void before() noexcept {
    process_state& s = own_state;
    sys::loader_walk.lock();  // first: what walks the list may allocate, and so take others
    s.opening.lock();
    held_ = s.open;
    if (!held_) return;
    s.knobs.lock();
    s.profiles.lock().lock();
    s.labels.lock().lock();
    s.types.lock().lock();
    s.threads.lock().lock();
    s.blocks.lock_all();
    s.sized.blocks.lock_all();
    s.values.lock_all();
    s.wide_values.lock_all();
    s.guests.call(&guest::before_fork, s);
  }

  static void in_parent() noexcept {
    if (held_) own_state.guests.call(&guest::after_fork, own_state);
    unlock();
  }

  static void unlock() noexcept {
    process_state& s = own_state;
    if (held_) {
      s.wide_values.unlock_all();
      s.values.unlock_all();
      s.sized.blocks.unlock_all();
      s.blocks.unlock_all();
      s.threads.lock().unlock();
      s.types.lock().unlock();
      s.labels.lock().unlock();
      s.profiles.lock().unlock();
      s.knobs.unlock();
    }
    s.opening.unlock();
    sys::loader_walk.unlock();
  }

  // Otherwise all children would take their next sample at the same byte, from the same random
  // numbers. So the one thread of the child draws anew. (In a module that only records it keeps its
  // draw, which is as good for one child as any other.) The root's module is the first to come
  // here.
  static void in_child() noexcept {
    if (held_) {
      process_state& s = own_state;
      s.threads.after_fork_in_child();
      if (auto* const w = s.waits.load(std::memory_order_relaxed)) w->after_fork_in_child();
      if (auto* const c = s.coroutines.load(std::memory_order_relaxed)) c->after_fork_in_child();
      s.guests.call(&guest::after_fork_in_child, s);
      s.guests.call(&guest::after_fork, s);
    }
    instruments::own_countdown = 0;
    sys::after_fork_in_child();
    unlock();
  }

  static inline constinit std::atomic<bool> installed_{false};
  // True if a fork is in progress that holds the locks; guarded by loader_walk.
  static inline constinit bool held_ = false;
};

}  // namespace whence::inline v1::state

#endif  // WHENCE_STATE_FORK_HPP
