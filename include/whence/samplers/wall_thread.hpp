// SPDX-License-Identifier: Apache-2.0
//
// What the wall sampler knows of one thread.
//
//   asleep    where it slept when it was looked at, and its CPU clock then: a thread whose clock
//             has not moved has not run, so it still sleeps there, with the same stack and labels
//   running   the time it has been met running but its stack is not had yet: that comes from
//   itself,
//             by a timer that expires at the next tick it runs in, so that no sleep is ever ended
#ifndef WHENCE_SAMPLERS_WALL_THREAD_HPP
#define WHENCE_SAMPLERS_WALL_THREAD_HPP

#include <sys/types.h>

#include <atomic>
#include <cstddef>
#include <cstdint>

#include <whence/samplers/profiling_signal.hpp>
#include <whence/stack/bucket.hpp>
#include <whence/sys/thread_timer.hpp>
#include <whence/unwind/trace.hpp>

namespace whence::inline v1::samplers {

struct wall_thread {
  std::atomic<::pid_t> tid{0};
  bool is_main = false;
  std::uint32_t seen = 0;
  std::int64_t last_cpu_ns = 0;

  stack::bucket* asleep = nullptr;
  std::int64_t cpu_ns = -1;

  // Time it was met running, whose stack is not there yet. The sampler's own.
  std::int64_t pending_ns = 0;
  std::int64_t pending_samples = 0;
  std::uint32_t pending_labels = 0;  // if no stack comes

  // The stack, as its handler leaves it for the sampler.
  std::atomic<int> timer{sys::no_timer};
  std::atomic<bool> has_stack{false};
  unwind::trace stack{nullptr, 0};
  std::uint32_t labels = 0;

  std::uintptr_t* pcs = nullptr;
  std::size_t capacity = 0;
  std::atomic<bool> in_handler{false};

  bool is_free() const noexcept { return tid.load() == 0 && !in_handler.load(); }

  // Sees to it that its next tick on a processor is a sample. False where there is no timer.
  bool ask() noexcept {
    int id = timer.load(std::memory_order_relaxed);
    if (id == sys::no_timer) {
      bool starved = false;
      id = sys::make_thread_timer(tid.load(std::memory_order_relaxed), profiling_signal_number,
                                  this, starved);
      if (id == sys::no_timer) return false;
      timer.store(id, std::memory_order_release);
    }
    // Any more CPU time at all. (None is no time: it would be signalled at once, asleep or not.)
    sys::arm_timer(id, 1, 0);
    return true;
  }

  void end() noexcept {
    const int id = timer.exchange(sys::no_timer, std::memory_order_relaxed);
    if (id != sys::no_timer) sys::delete_timer(id);
    asleep = nullptr;
    cpu_ns = -1;
    has_stack.store(false, std::memory_order_relaxed);
    pending_ns = 0;
    pending_samples = 0;
  }
};

}  // namespace whence::inline v1::samplers

#endif  // WHENCE_SAMPLERS_WALL_THREAD_HPP
