// SPDX-License-Identifier: Apache-2.0
//
// The stack of another thread that sleeps in the kernel, read from its memory. Its CPU clock tells
// that it slept all the while: it is the same before and after.
#ifndef WHENCE_SAMPLERS_SLEEPING_STACK_HPP
#define WHENCE_SAMPLERS_SLEEPING_STACK_HPP

#include <sys/types.h>

#include <cstddef>
#include <cstdint>

#include <whence/sys/clock.hpp>
#include <whence/sys/proc_task.hpp>
#include <whence/unwind/modules/unloadable_keys.hpp>
#include <whence/unwind/trace.hpp>
#include <whence/unwind/unwinder.hpp>
#include <whence/unwind/walk/sleeping_walk.hpp>

namespace whence::inline v1::samplers {

struct sleeping_stack {
  enum class result : unsigned char {
    read,
    running,   // or ready to
    hidden,    // it sleeps, and its stack may not be read
    no_state,  // its files cannot be read, for want of descriptors or of /proc, or it has ended
    ended,
  };

  std::int64_t cpu_ns = -1;  // in its sleep
  sys::sleeping_task task;
  unwind::trace trace{nullptr, 0};  // in the room
  bool is_whole = false;

  // Reads at most `depth` frames into the room, and calls also(), whose findings are of the same
  // sleep if the result is `read`. If the thread wakes up meanwhile, reads again.
  template <class Also>
  result read(unwind::unwinder& u, ::pid_t tid, unwind::sleeping_stack_room& room,
              std::size_t depth, Also also) noexcept {
    for (int attempt = 0; attempt < 3; ++attempt) {
      cpu_ns = sys::thread_cpu_ns(tid);
      if (cpu_ns < 0) return result::ended;
      task = sys::read_syscall(tid);
      if (task.state == sys::task_state::gone) return result::no_state;
      if (task.state == sys::task_state::running) return result::running;
      if (task.state == sys::task_state::hidden) return result::hidden;
      trace = {room.pcs, depth};
      is_whole = unwind::sleeping_walk(u, task.pc, task.sp, room).fill(trace);
      unwind::use_keys<unwind::copied_memory>(u, trace);
      also();
      if (sys::thread_cpu_ns(tid) == cpu_ns) return result::read;
    }
    return result::running;
  }
};

}  // namespace whence::inline v1::samplers

#endif  // WHENCE_SAMPLERS_SLEEPING_STACK_HPP
