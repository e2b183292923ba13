// SPDX-License-Identifier: Apache-2.0
//
// SIGPROF, shared with the program. Our one handler is installed when the first session begins, and
// stays: a signal may come after its timer is deleted, and would kill the process by default.
// Signals that are not ours go to the previous handler.
//
//   signal ─> on_signal ─> cpu sampler?   ─> wall sampler? ─> thread dump? ─> the program's, if any
//
// A signal's payload tells which sampler asked for it, so none takes another's, nor a
// kill(SIGPROF). Our handler runs on the alternate stack if the thread has one, restarts system
// calls if the program's handler did, and preserves errno.
#ifndef WHENCE_SAMPLERS_PROFILING_SIGNAL_HPP
#define WHENCE_SAMPLERS_PROFILING_SIGNAL_HPP

#include <dlfcn.h>
#include <signal.h>
#include <sys/mman.h>
#include <ucontext.h>
#include <unistd.h>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <new>
#include <system_error>

#include <whence/state/attach.hpp>
#include <whence/state/process_state.hpp>
#include <whence/sys/block_tail_call.hpp>
#include <whence/sys/errno_guard.hpp>
#include <whence/sys/guard.hpp>
#include <whence/sys/loader.hpp>
#include <whence/sys/pages.hpp>
#include <whence/sys/publish_once.hpp>
#include <whence/sys/safe_read.hpp>
#include <whence/sys/spin_lock.hpp>
#include <whence/sys/stack_headroom.hpp>
#include <whence/sys/thread_local.hpp>
#include <whence/unwind/walk/return_address_check.hpp>

namespace whence::inline v1::samplers {

inline constexpr int profiling_signal_number = SIGPROF;

// True while our handler runs the program's, which may call ours in turn if it was installed later.
WHENCE_THREAD_LOCAL bool in_program_handler{false};

class profiling_signal {
 public:
  // Returns true if the signal was the sampler's. Signal-safe.
  using taker = bool (*)(state::process_state&, const siginfo_t&, const ucontext_t&) noexcept;

  // The takers, in the order in which they are asked.
  enum purpose : int { for_cpu, for_wall, for_dumps, purposes };

  // Requires: the root does not point to this module's code yet; handlers and forks will call it
  // there. The module must stay loaded, because it is unknown which signal is the last, and its
  // symbols must be bound. Thread-safe. Takes the loader's lock, so call it without any of ours.
  [[gnu::visibility("hidden")]] static void prepare_module() noexcept {
    if (is_prepared_.load(std::memory_order_acquire)) return;
    sys::keep_loaded(&state::own_state);
    bind_symbols();
    is_prepared_.store(true, std::memory_order_release);
  }

  // Makes sure that the process has our handler. Requires: prepare_module(). Thread-safe; not for
  // signal handlers.
  static std::error_code install(state::process_state& s, purpose why, taker t) noexcept {
    profiling_signal* const p = sys::publish_once(s.arena, s.samplers.signal);
    if (p == nullptr) return std::make_error_code(std::errc::not_enough_memory);
    p->take_[why].store(t, std::memory_order_release);
    return p->install_here();
  }

  // If the program has replaced our handler by SIG_DFL, ours is put back, since the next signal
  // would kill the process.
  static void restore(state::process_state& s) noexcept {
    profiling_signal* const p = s.samplers.signal.load(std::memory_order_acquire);
    struct sigaction now {};
    if (p != nullptr && ::sigaction(profiling_signal_number, nullptr, &now) == 0 &&
        now.sa_handler == SIG_DFL) {
      (void)p->install_here();
    }
  }

  // Drops the signals that have come and not been handled, of all threads. Requires: no timer sends
  // more. (POSIX: to ignore a signal discards the pending ones)
  static void drop_pending(state::process_state& s) noexcept {
    profiling_signal* const p = s.samplers.signal.load(std::memory_order_acquire);
    if (p == nullptr || p->replaced()) return;
    struct sigaction now {};
    struct sigaction ignored {};
    ignored.sa_handler = SIG_IGN;
    if (::sigaction(profiling_signal_number, &ignored, &now) != 0) return;
    ::sigaction(profiling_signal_number, &now, nullptr);
  }

  // For the child of a fork: a thread that was installing does not exist there.
  void after_fork_in_child() noexcept { lock_.unlock(); }

  // Called in a handler that has too little stack to go on: its sample is lost, and counted.
  static void note_no_room(state::process_state& s) noexcept {
    profiling_signal* const p = s.samplers.signal.load(std::memory_order_acquire);
    if (p != nullptr) p->without_room_.fetch_add(1, std::memory_order_relaxed);
  }

  // How many of the process's signals were lost so.
  static std::int64_t without_room(const state::process_state& s) noexcept {
    const profiling_signal* const p = s.samplers.signal.load(std::memory_order_acquire);
    return p == nullptr ? 0 : p->without_room_.load(std::memory_order_relaxed);
  }

  // True if another handler has replaced ours.
  bool replaced() const noexcept {
    struct sigaction now {};
    return ::sigaction(profiling_signal_number, nullptr, &now) == 0 &&
           now.sa_sigaction != handler_.load(std::memory_order_relaxed);
  }

 private:
  using handler = void (*)(int, siginfo_t*, void*);

  // An asynchronously cancelled thread would unwind through the handler, which C++ forbids.
  // sigaddset refuses glibc's signal for it.
  static void block_cancellation(sigset_t& mask) noexcept {
    constexpr int cancellation = 32;  // SIGCANCEL (nptl/internal-signals.h)
    unsigned long word = 0;
    std::memcpy(&word, &mask, sizeof word);
    word |= 1UL << (cancellation - 1);
    std::memcpy(&mask, &word, sizeof word);
  }

  // Binds the symbols that a handler calls: binding is not signal-safe, and needs more stack than
  // the handler. (tests/checks/handler_symbols.sh checks the list.)
  static void bind_symbols() noexcept {
    const sys::errno_guard keep;
    std::uintptr_t words[4]{};
    volatile std::size_t bytes = sizeof(std::uintptr_t);  // so that no call is inlined
    std::memcpy(words, words + 1, bytes);
    std::memmove(words, words + 1, bytes);
    std::memset(words, 0, bytes);
    words[0] = static_cast<std::uintptr_t>(std::memcmp(words, words + 1, bytes));
    const auto address = reinterpret_cast<std::uintptr_t>(words);
    sys::copy_by_kernel(words + 2, address, sizeof words[0]);
    sys::is_readable(address);
    ::dl_find_object found{};
    ::_dl_find_object(words, &found);
    void* const page = sys::map_pages(sys::page_bytes);
    if (page != nullptr) ::munmap(page, sys::page_bytes);
    (void)::gettid();
    (void)::getpid();
  }

  std::error_code install_here() noexcept {
    const sys::guard hold(lock_);
    struct sigaction before {};
    if (::sigaction(profiling_signal_number, nullptr, &before) != 0) return last_error();
    // Some module of the process has installed its copy; all copies are equal.
    const handler known = handler_.load(std::memory_order_relaxed);
    if (known != nullptr && before.sa_sigaction == known) return {};
    programs_[next_] = before;
    program_.store(&programs_[next_], std::memory_order_release);
    next_ = 1 - next_;
    struct sigaction ours {};
    ours.sa_sigaction = &on_signal;
    ours.sa_flags = SA_SIGINFO | SA_ONSTACK | restart_flag(before);
    ours.sa_mask = before.sa_mask;
    block_cancellation(ours.sa_mask);
    handler_.store(&on_signal, std::memory_order_relaxed);
    return ::sigaction(profiling_signal_number, &ours, nullptr) == 0 ? std::error_code{}
                                                                     : last_error();
  }

  // A program whose handler ends system calls with EINTR relies on that. (Timers on CPU clocks
  // signal on the way out of the kernel, so ours end none in either case.)
  static int restart_flag(const struct sigaction& program) noexcept {
    const bool has_handler = (program.sa_flags & SA_SIGINFO) != 0 ||
                             (program.sa_handler != SIG_DFL && program.sa_handler != SIG_IGN);
    return has_handler ? program.sa_flags & SA_RESTART : SA_RESTART;
  }

  static std::error_code last_error() noexcept { return {errno, std::generic_category()}; }

  // Everything else takes stack, so it comes after the question whether there is room.
  static void on_signal(int number, siginfo_t* info, void* context) {
    const auto& at = *static_cast<const ucontext_t*>(context);
    if (is_from_kernel(*info) && !sys::has_alternate_room(at.uc_stack)) [[unlikely]] {
      note_no_room();
    } else {
      handle(number, info, context, __builtin_return_address(0));
    }
    sys::block_tail_call();
  }

  // True of timers and counters. Signals that the program sends go to its handler, whatever that
  // needs.
  static bool is_from_kernel(const siginfo_t& info) noexcept {
    return info.si_code > 0 || info.si_code == SI_TIMER;
  }

  static void note_no_room() noexcept {
    state::process_state* const s = state::root.load(std::memory_order_acquire);
    if (s != nullptr) note_no_room(*s);
  }

  [[gnu::noinline]] static void handle(int number, siginfo_t* info, void* context,
                                       const void* caller) {
    const sys::errno_guard keep;
    state::process_state* const s = state::root.load(std::memory_order_acquire);
    profiling_signal* const p =
        s == nullptr ? nullptr : s->samplers.signal.load(std::memory_order_acquire);
    if (p == nullptr) return;
    for (const auto& one : p->take_) {
      const taker t = one.load(std::memory_order_acquire);
      if (t != nullptr && t(*s, *info, *static_cast<const ucontext_t*>(context))) return;
    }
    p->pass_on(number, info, context, caller);
  }

  // Calls the program's handler. SIG_DFL and SIG_IGN both mean that nothing is called: a process
  // that was profiled must not die of a profiling signal. (Go: runtime/signal_unix.go,
  // setProcessCPUProfiler)
  //
  // The program's handler may call ours, if it was installed later: that call comes from code, not
  // from the kernel. (A flag that it is running proves nothing: siglongjmp may have left it.)
  void pass_on(int number, siginfo_t* info, void* context, const void* caller) {
    const struct sigaction* program = program_.load(std::memory_order_acquire);
    const bool from_kernel = unwind::ends_signal(reinterpret_cast<std::uintptr_t>(caller));
    if (program == nullptr || (in_program_handler && !from_kernel)) return;
    if ((program->sa_flags & static_cast<int>(SA_RESETHAND)) != 0 &&
        !program_.compare_exchange_strong(program, nullptr, std::memory_order_relaxed)) {
      return;
    }
    in_program_handler = true;
    if ((program->sa_flags & SA_SIGINFO) != 0) {
      program->sa_sigaction(number, info, context);
    } else if (program->sa_handler != SIG_DFL && program->sa_handler != SIG_IGN) {
      program->sa_handler(number);
    }
    in_program_handler = false;
  }

  [[gnu::visibility("hidden")]] static inline constinit std::atomic<bool> is_prepared_{false};

  std::atomic<taker> take_[purposes]{};
  sys::spin_lock lock_;
  std::atomic<handler> handler_{nullptr};
  std::atomic<const struct sigaction*> program_{nullptr};
  struct sigaction programs_[2]{};  // two, since a handler may still read the old one
  int next_ = 0;
  std::atomic<std::int64_t> without_room_{0};
};

}  // namespace whence::inline v1::samplers

#endif  // WHENCE_SAMPLERS_PROFILING_SIGNAL_HPP
