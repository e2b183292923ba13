// SPDX-License-Identifier: Apache-2.0
//
// The wall sampler's data for one thread.
//
//   asleep    where it slept at the last look, and its CPU clock then: a thread whose clock
//             has not moved has not run, so it still sleeps there, with the same stack and labels
//   running   the time in which it ran and has not answered with its stack yet
#ifndef WHENCE_SAMPLERS_WALL_THREAD_HPP
#define WHENCE_SAMPLERS_WALL_THREAD_HPP

#include <sys/types.h>

#include <atomic>
#include <cstdint>

#include <whence/samplers/asked_stack.hpp>
#include <whence/stack/bucket.hpp>

namespace whence::inline v1::samplers {

struct wall_thread : asked_stack {
  std::atomic<::pid_t> tid{0};
  std::uint32_t seen = 0;
  std::int64_t last_cpu_ns = 0;

  stack::bucket* asleep = nullptr;  // in the epoch of that number
  std::uint64_t epoch = 0;
  std::int64_t cpu_ns = -1;

  // The time it ran without an answer yet. Only the sampler uses it.
  std::int64_t pending_ns = 0;
  std::int64_t pending_samples = 0;
  std::uint32_t pending_labels = 0;  // used if no stack comes

  bool is_free() const noexcept { return tid.load() == 0 && in_handler.load() == 0; }

  bool ask() noexcept { return asked_stack::ask(tid.load(std::memory_order_relaxed), this); }

  void end() noexcept {
    take_back();
    asleep = nullptr;
    cpu_ns = -1;
    pending_ns = 0;
    pending_samples = 0;
  }
};

}  // namespace whence::inline v1::samplers

#endif  // WHENCE_SAMPLERS_WALL_THREAD_HPP
