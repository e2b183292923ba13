// SPDX-License-Identifier: Apache-2.0
//
// What fork does to the samplers: SIGPROF is blocked while it lasts. The child has no timers,
// sampler threads or sessions; it abandons the samplers as they are, with any locks that are held,
// and makes new ones when it needs them.
#ifndef WHENCE_SAMPLERS_FORK_RULES_HPP
#define WHENCE_SAMPLERS_FORK_RULES_HPP

#include <pthread.h>
#include <signal.h>
#include <sys/types.h>
#include <unistd.h>

#include <atomic>
#include <utility>

#include <whence/samplers/library_threads.hpp>
#include <whence/samplers/profiling_signal.hpp>
#include <whence/state/guest.hpp>
#include <whence/state/process_state.hpp>
#include <whence/sys/syscall_filter.hpp>

namespace whence::inline v1::samplers {

class fork_rules {
  // Guarded as a fork is: there is one at a time.
  static inline sigset_t signals_{};
  static inline bool is_blocked_ = false;

  static void before_fork(state::process_state&) noexcept {
    // Old kernels restart fork after each signal, so that it might never end.
    sigset_t profiling;
    ::sigemptyset(&profiling);
    ::sigaddset(&profiling, SIGPROF);
    is_blocked_ = ::pthread_sigmask(SIG_BLOCK, &profiling, &signals_) == 0;
  }

  // If the first session began meanwhile, in another thread, nothing was blocked.
  static void after_fork(state::process_state&) noexcept {
    if (std::exchange(is_blocked_, false)) ::pthread_sigmask(SIG_SETMASK, &signals_, nullptr);
  }

  // The process has no samplers, sessions or threads of ours, whatever it inherited.
  static void after_fork_in_child(state::process_state& s) noexcept {
    s.samplers.own.store(nullptr);
    if (auto* const signal = s.samplers.signal.load(std::memory_order_acquire)) {
      signal->after_fork_in_child();
    }
    s.samplers.cpu_profile.store(nullptr);
    s.samplers.process.store(::getpid());
  }

 public:
  static constexpr state::guest as_guest{.before_fork = &before_fork,
                                         .after_fork = &after_fork,
                                         .after_fork_in_child = &after_fork_in_child};

  // No fork handler has run in a child of _Fork or of the bare system call: such a child is noticed
  // when it first asks for a sampler.
  static void on_new_process(state::process_state& s) noexcept {
    ::pid_t none = 0;
    const ::pid_t now = ::getpid();
    if (!s.samplers.process.compare_exchange_strong(none, now) && none != now) {
      s.guests.call(&state::guest::after_fork_in_child, s);
    }
  }
};

// Each session and each dump begins here. Requires: the root does not point to anything of this
// module yet. Takes the loader's lock the first time.
inline void enter(state::process_state& s) noexcept {
  sys::look_for_filter();  // first: what follows makes calls that a filter may forbid
  s.unwinder.find_modules();
  profiling_signal::prepare_module();
  s.guests.enter(state::guest_list::profiling_signal, fork_rules::as_guest);
  fork_rules::on_new_process(s);
}

}  // namespace whence::inline v1::samplers

#endif  // WHENCE_SAMPLERS_FORK_RULES_HPP
