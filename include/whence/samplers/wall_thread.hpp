// SPDX-License-Identifier: Apache-2.0
//
// The wall sampler's data for one thread.
//
//   asleep    where it slept at the last look, and its CPU clock then: a thread whose clock
//             has not moved has not run, so it still sleeps there, with the same stack and labels
//   running   the time in which it ran, or was ready to, and has not answered with its stack yet
//
// A request stays open while the thread waits for a processor: it has the same stack when it runs
// next. (To ask again would lose an answer that is under way.) A thread that has run for longer
// than a few ticks, or slept, since it was asked is somewhere else by now.
#ifndef WHENCE_SAMPLERS_WALL_THREAD_HPP
#define WHENCE_SAMPLERS_WALL_THREAD_HPP

#include <sys/types.h>

#include <atomic>
#include <cstdint>

#include <whence/samplers/stack_request.hpp>
#include <whence/sys/signal_mask.hpp>
#include <whence/tables/bucket.hpp>
#include <whence/tables/sample_epochs.hpp>

namespace whence::inline v1::samplers {

// A stack, and the number of the epoch that it is there for.
struct place_in_epoch {
  tables::bucket* it = nullptr;
  std::uint64_t epoch = 0;

  // nullptr if it is not in the current epoch: then it may have been freed.
  tables::bucket* in(const tables::sample_epochs::entry& current) const noexcept {
    return epoch == current.number() ? it : nullptr;
  }
};

struct wall_thread : stack_request {
  std::atomic<::pid_t> tid{0};
  std::uint32_t seen = 0;
  std::int64_t last_cpu_ns = 0;

  place_in_epoch asleep;
  std::int64_t cpu_ns = -1;

  place_in_epoch answered;           // where it was when it answered last
  std::int64_t answered_cpu_ns = 0;  // its CPU clock a little before

  int closed_looks = 1;  // how many more must find SIGPROF unblocked before it is asked
  sys::mask_history mask;
  bool is_asked = false;
  std::int64_t asked_cpu_ns = 0;  // its CPU clock then

  // The time it ran without an answer yet. Only the sampler uses it.
  std::int64_t pending_ns = 0;
  std::int64_t pending_samples = 0;
  std::uint64_t pending_labels = 0;  // used if no stack comes

  bool is_free() const noexcept { return tid.load() == 0 && in_handler.load() == 0; }

  // What the kernel shows of a thread that is only ready to run may be the mask of a call.
  bool takes_signal(const sys::task_mask& now) noexcept {
    if (now.blocks) closed_looks = sys::enough_open_looks;
    if (closed_looks > 0 && now.is_own && !now.blocks) --closed_looks;
    return closed_looks == 0;
  }

  bool ask(std::int64_t now_cpu_ns) noexcept {
    asked_cpu_ns = now_cpu_ns;
    is_asked = stack_request::ask(tid.load(std::memory_order_relaxed), this);
    return is_asked;
  }

  void end() noexcept {
    take_back();
    is_asked = false;
    closed_looks = 1;
    mask = {};
    answered = {};
    asleep = {};
    cpu_ns = -1;
    pending_ns = 0;
    pending_samples = 0;
  }
};

}  // namespace whence::inline v1::samplers

#endif  // WHENCE_SAMPLERS_WALL_THREAD_HPP
