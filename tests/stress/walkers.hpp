// SPDX-License-Identifier: Apache-2.0
//
// The other ways to take the stack that a signal interrupted, from inside its handler: libgcc,
// libunwind, and a walk of frame pointers. All of them yield what capture_context yields: the
// interrupted instruction, then return addresses, those below a signal frame one up.
//
// None of them is safe there: libgcc dereferences an address it takes for code. So they run between
// a sigsetjmp and a handler of SIGSEGV that jumps back to it.
#ifndef WHENCE_TESTS_STRESS_WALKERS_HPP
#define WHENCE_TESTS_STRESS_WALKERS_HPP

#include <dlfcn.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <ucontext.h>
#include <unwind.h>

#include <atomic>
#include <cstddef>
#include <cstdint>

#if defined(__x86_64__) && !defined(WHENCE_STRESS_STATIC) && __has_include(<libunwind.h>)
#define WHENCE_STRESS_HAS_LIBUNWIND 1
#define UNW_LOCAL_ONLY
#include <libunwind.h>
#define WHENCE_STRESS_NAME(macro) WHENCE_STRESS_NAME_OF(macro)
#define WHENCE_STRESS_NAME_OF(name) #name
#endif

namespace stress {

struct stack {
  static constexpr std::size_t capacity = 1024;

  std::size_t depth;
  bool full;
  std::uintptr_t pcs[capacity];

  bool push(std::uintptr_t pc) noexcept {
    full = depth == capacity;
    if (full) return false;
    pcs[depth++] = pc;
    return true;
  }
};

struct interrupted_registers {
  std::uintptr_t pc, sp, fp;

  explicit interrupted_registers(const ucontext_t& c) noexcept {
#if defined(__x86_64__)
    pc = static_cast<std::uintptr_t>(c.uc_mcontext.gregs[REG_RIP]);
    sp = static_cast<std::uintptr_t>(c.uc_mcontext.gregs[REG_RSP]);
    fp = static_cast<std::uintptr_t>(c.uc_mcontext.gregs[REG_RBP]);
#else
    pc = c.uc_mcontext.pc;
    sp = c.uc_mcontext.sp;
    fp = c.uc_mcontext.regs[29];
#endif
  }
};

// The address that a context's entry returns to: it comes from no call, so it is the first byte of
// a function, and is shown unchanged, not as the byte before it. 0 if it is not known yet.
inline constinit std::atomic<std::uintptr_t> context_start{0};

inline std::uintptr_t as_return_address(std::uintptr_t pc, bool interrupted) noexcept {
  return pc + (interrupted || pc == context_start.load(std::memory_order_relaxed) ? 1 : 0);
}

// ---- libgcc

struct libgcc_frames {
  stack& out;
  std::uintptr_t from;  // where the wanted part begins
  bool from_signal;
  bool begun = false;
};

inline _Unwind_Reason_Code take_libgcc_frame(_Unwind_Context* context, void* state) {
  auto& frames = *static_cast<libgcc_frames*>(state);
  int interrupted = 0;
  const std::uintptr_t pc = _Unwind_GetIPInfo(context, &interrupted);
  if (!frames.begun) {
    if (pc != frames.from || (interrupted != 0) != frames.from_signal) return _URC_NO_REASON;
    frames.begun = true;
    frames.out.push(frames.from_signal ? pc : as_return_address(pc, false));
    return _URC_NO_REASON;
  }
  if (pc == 0) return _URC_NO_REASON;  // this is how it marks the end
  return frames.out.push(as_return_address(pc, interrupted != 0)) ? _URC_NO_REASON
                                                                  : _URC_END_OF_STACK;
}

inline void walk_by_libgcc(const ucontext_t& context, stack& out) noexcept {
  libgcc_frames frames{out, interrupted_registers(context).pc, true};
  _Unwind_Backtrace(take_libgcc_frame, &frames);
}

// The caller's own stack, from the frame that returns to `caller`.
inline void walk_by_libgcc(const void* caller, stack& out) noexcept {
  libgcc_frames frames{out, reinterpret_cast<std::uintptr_t>(caller), false};
  _Unwind_Backtrace(take_libgcc_frame, &frames);
}

// ---- libunwind

// Loaded by hand: a linked one would replace libgcc. A static program cannot load it.
class libunwind {
 public:
#ifdef WHENCE_STRESS_HAS_LIBUNWIND
  bool open() noexcept {
    void* const library = ::dlopen("libunwind.so.8", RTLD_NOW | RTLD_LOCAL);
    return library != nullptr && find(library, WHENCE_STRESS_NAME(unw_init_local2), init_) &&
           find(library, WHENCE_STRESS_NAME(unw_step), step_) &&
           find(library, WHENCE_STRESS_NAME(unw_get_reg), get_reg_) &&
           find(library, WHENCE_STRESS_NAME(unw_is_signal_frame), is_signal_frame_);
  }

  void walk(const ucontext_t& context, stack& out) const noexcept {
    unw_cursor_t cursor;
    auto* const from = const_cast<ucontext_t*>(&context);
    if (init_(&cursor, from, UNW_INIT_SIGNAL_FRAME) != 0) return;
    bool interrupted = false;
    do {
      unw_word_t pc = 0;
      if (get_reg_(&cursor, UNW_REG_IP, &pc) != 0 || pc == 0) return;
      if (!out.push(out.depth == 0 ? pc : as_return_address(pc, interrupted))) return;
      interrupted = is_signal_frame_(&cursor) > 0;
    } while (step_(&cursor) > 0);
  }

 private:
  template <class Function>
  static bool find(void* library, const char* name, Function& function) noexcept {
    function = reinterpret_cast<Function>(::dlsym(library, name));
    return function != nullptr;
  }

  decltype(&unw_init_local2) init_ = nullptr;
  decltype(&unw_step) step_ = nullptr;
  decltype(&unw_get_reg) get_reg_ = nullptr;
  decltype(&unw_is_signal_frame) is_signal_frame_ = nullptr;
#else
  bool open() noexcept {
    return false;
  }
  void walk(const ucontext_t&, stack&) const noexcept {}
#endif
};

// ---- frame pointers

struct memory_range {
  std::uintptr_t begin = 0;
  std::uintptr_t end = 0;
  bool holds(std::uintptr_t address) const noexcept { return address >= begin && address < end; }
};

// The stack glibc gave the calling thread.
inline memory_range own_stack() noexcept {
  pthread_attr_t attributes;
  void* begin = nullptr;
  std::size_t size = 0;
  if (::pthread_getattr_np(::pthread_self(), &attributes) != 0) return {};
  ::pthread_attr_getstack(&attributes, &begin, &size);
  ::pthread_attr_destroy(&attributes);
  return {reinterpret_cast<std::uintptr_t>(begin), reinterpret_cast<std::uintptr_t>(begin) + size};
}

// Follows them as long as they lead upwards within `bounds`.
inline void walk_by_frame_pointers(const ucontext_t& context, memory_range bounds,
                                   stack& out) noexcept {
  const interrupted_registers r(context);
  out.push(r.pc);
  std::uintptr_t lowest = r.sp;
  std::uintptr_t fp = r.fp;
  while (fp >= lowest && bounds.holds(fp) && bounds.end - fp >= 16 && fp % 8 == 0) {
    const auto* const pair = reinterpret_cast<const std::uintptr_t*>(fp);
    if (pair[1] == 0 || !out.push(as_return_address(pair[1], false))) return;
    lowest = fp + 16;
    fp = pair[0];
  }
}

// ---- the guard

inline constinit thread_local sigjmp_buf* way_out = nullptr;

inline void leave_by_way_out(int signal) {
  if (way_out == nullptr) {  // not ours: let it kill the program
    ::signal(signal, SIG_DFL);
    return;
  }
  sigjmp_buf& to = *way_out;
  way_out = nullptr;
  siglongjmp(to, 1);
}

inline void install_guard() noexcept {
  struct sigaction action {};
  action.sa_handler = leave_by_way_out;
  action.sa_flags = SA_ONSTACK | SA_NODEFER;
  ::sigaction(SIGSEGV, &action, nullptr);
  ::sigaction(SIGBUS, &action, nullptr);
}

// False if it crashed.
template <class Walk>
[[gnu::noinline]] bool survives(Walk walk) noexcept {
  sigjmp_buf here;
  if (sigsetjmp(here, 0) != 0) return false;
  way_out = &here;
  walk();
  way_out = nullptr;
  return true;
}

}  // namespace stress

#endif  // WHENCE_TESTS_STRESS_WALKERS_HPP
