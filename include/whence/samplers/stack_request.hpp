// SPDX-License-Identifier: Apache-2.0
//
// A running thread's stack, which only that thread can take. A timer on its CPU clock asks for it,
// and expires at the next tick in which the thread runs. The kernel signals on its way back to the
// program (POSIX_CPU_TIMERS_TASK_WORK), so a sleep that begins meanwhile is not cut short. One
// exception: after a debugger's interrupt a thread runs for a moment before it sleeps on, and a
// tick may meet it there.
//
// The handler owns the object from ask() until has_stack, then the asker owns it.
#ifndef WHENCE_SAMPLERS_STACK_REQUEST_HPP
#define WHENCE_SAMPLERS_STACK_REQUEST_HPP

#include <pthread.h>
#include <sys/types.h>
#include <ucontext.h>

#include <atomic>
#include <cstddef>
#include <cstdint>

#include <whence/instruments/lock_holder.hpp>
#include <whence/samplers/profiling_signal.hpp>
#include <whence/state/process_state.hpp>
#include <whence/state/thread_labels.hpp>
#include <whence/sys/stack_headroom.hpp>
#include <whence/sys/thread_timer.hpp>
#include <whence/tables/wait_slots.hpp>
#include <whence/unwind/capture.hpp>
#include <whence/unwind/modules/unloadable_keys.hpp>
#include <whence/unwind/trace.hpp>

namespace whence::inline v1::samplers {

struct stack_request {
  std::atomic<int> timer{sys::no_timer};
  std::atomic<int> in_handler{0};
  std::atomic<bool> has_stack{false};
  bool is_main = false;  // its stack grows
  unwind::trace stack{nullptr, 0};
  std::uint64_t labels = 0;  // instruments::label_word
  std::uintptr_t sp = 0;
  const instruments::lock_holder* awaited = nullptr;  // the lock that it is in a wait for

  std::uintptr_t* pcs = nullptr;  // room for the stack
  std::size_t capacity = 0;

  // Makes the thread's next tick on a processor record its stack. `carried` tells the handler where
  // this object is. False if the kernel refuses a timer.
  bool ask(::pid_t tid, void* carried) noexcept {
    int id = timer.load(std::memory_order_relaxed);
    if (id == sys::no_timer) {
      bool starved = false;
      id = sys::make_thread_timer(tid, profiling_signal_number, carried, starved);
      if (id == sys::no_timer) return false;
      timer.store(id, std::memory_order_release);
    }
    // Any CPU time after now. (0 would signal at once, even in its sleep.)
    sys::arm_timer(id, 1, 0);
    return true;
  }

  bool has_timer() const noexcept { return timer.load(std::memory_order_relaxed) != sys::no_timer; }

  // Withdraws the request.
  void take_back() noexcept {
    const int id = timer.exchange(sys::no_timer);
    if (id != sys::no_timer) sys::delete_timer(id);
    has_stack.store(false, std::memory_order_relaxed);
  }

  // Called in the handler of the thread that was asked.
  void leave(state::process_state& s, const ucontext_t& at) noexcept {
    if (has_stack.load(std::memory_order_acquire)) return;
    if (!sys::has_stack_headroom(is_main, at.uc_stack)) return profiling_signal::note_no_room(s);
    stack = {pcs, capacity};
    unwind::capture_context(s.unwinder, stack, at);
    unwind::use_keys<unwind::copied_memory>(s.unwinder, stack);
    labels = state::label_word_of_this_thread(s);
    sp = unwind::interrupted(at).sp;
    awaited = awaited_by_this_thread(s);
    has_stack.store(true, std::memory_order_release);
  }

 private:
  // nullptr if none. Not by a variable of the thread, of which each module may have its own.
  static const instruments::lock_holder* awaited_by_this_thread(
      const state::process_state& s) noexcept {
    const instruments::lock_holder* lock = nullptr;
    const tables::wait_slots* const slots = s.waits.load(std::memory_order_acquire);
    if (slots == nullptr) return lock;
    slots->for_each([&lock, self = ::pthread_self()](const tables::wait_slot& slot, std::uint32_t,
                                                     const tables::wait_in_progress& w) {
      if (slot.thread.load(std::memory_order_relaxed) == self) lock = w.lock;
    });
    return lock;
  }
};

}  // namespace whence::inline v1::samplers

#endif  // WHENCE_SAMPLERS_STACK_REQUEST_HPP
