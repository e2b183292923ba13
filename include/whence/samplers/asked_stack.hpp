// SPDX-License-Identifier: Apache-2.0
//
// The stack of a thread that runs, which only itself can take: it is asked by a timer on its CPU
// clock, which expires at the next tick it runs in. The kernel signals it on its way back to the
// program (POSIX_CPU_TIMERS_TASK_WORK), so that no sleep is cut short, were it begun meanwhile. But
// for one that a debugger has just interrupted: it runs to sleep on, and a tick may meet it there.
//
// The place is the handler's from ask() until has_stack, and then the asker's.
#ifndef WHENCE_SAMPLERS_ASKED_STACK_HPP
#define WHENCE_SAMPLERS_ASKED_STACK_HPP

#include <sys/types.h>
#include <ucontext.h>

#include <atomic>
#include <cstddef>
#include <cstdint>

#include <whence/profile/process_state.hpp>
#include <whence/profile/thread_labels.hpp>
#include <whence/samplers/profiling_signal.hpp>
#include <whence/sys/stack_room.hpp>
#include <whence/sys/thread_timer.hpp>
#include <whence/unwind/capture.hpp>
#include <whence/unwind/plugin_keys.hpp>
#include <whence/unwind/trace.hpp>

namespace whence::inline v1::samplers {

struct asked_stack {
  std::atomic<int> timer{sys::no_timer};
  std::atomic<int> in_handler{0};
  std::atomic<bool> has_stack{false};
  bool is_main = false;  // its stack grows
  unwind::trace stack{nullptr, 0};
  std::uint32_t labels = 0;
  std::uintptr_t sp = 0;

  std::uintptr_t* pcs = nullptr;  // room for the stack
  std::size_t capacity = 0;

  // Sees to it that the thread's next tick on a processor brings its stack. `carried`: by which the
  // handler finds this place. False where there is no timer.
  bool ask(::pid_t tid, void* carried) noexcept {
    int id = timer.load(std::memory_order_relaxed);
    if (id == sys::no_timer) {
      bool starved = false;
      id = sys::make_thread_timer(tid, profiling_signal_number, carried, starved);
      if (id == sys::no_timer) return false;
      timer.store(id, std::memory_order_release);
    }
    // Any more CPU time at all. (None is no time: it would be signalled at once, asleep or not.)
    sys::arm_timer(id, 1, 0);
    return true;
  }

  bool has_timer() const noexcept { return timer.load(std::memory_order_relaxed) != sys::no_timer; }

  // Nobody is asked any more.
  void take_back() noexcept {
    const int id = timer.exchange(sys::no_timer);
    if (id != sys::no_timer) sys::delete_timer(id);
    has_stack.store(false, std::memory_order_relaxed);
  }

  // In the handler, of the thread that was asked.
  void leave(core::process_state& s, const ucontext_t& at) noexcept {
    if (has_stack.load(std::memory_order_acquire) || !sys::has_stack_room(is_main, at.uc_stack)) {
      return;
    }
    stack = {pcs, capacity};
    unwind::capture_context(s.unwinder, stack, at);
    unwind::use_keys<unwind::copied_memory>(s.unwinder, stack);
    labels = core::labels_of_this_thread(s);
    sp = unwind::interrupted(at).sp;
    has_stack.store(true, std::memory_order_release);
  }
};

}  // namespace whence::inline v1::samplers

#endif  // WHENCE_SAMPLERS_ASKED_STACK_HPP
