// SPDX-License-Identifier: Apache-2.0
//
// What fork means for the samplers: SIGPROF waits while it lasts. The child has no timers, no
// threads of theirs and no sessions, so it leaves them behind as they are, whoever held their
// locks, and makes new ones when it needs them.
#ifndef WHENCE_SAMPLERS_FORK_RULES_HPP
#define WHENCE_SAMPLERS_FORK_RULES_HPP

#include <pthread.h>
#include <signal.h>
#include <sys/types.h>
#include <unistd.h>

#include <atomic>
#include <initializer_list>

#include <whence/profile/process_state.hpp>
#include <whence/samplers/own_threads.hpp>
#include <whence/samplers/profiling_signal.hpp>

namespace whence::inline v1::samplers {

// Around a fork, in the root's module; one fork at a time.
class fork_rules {
  static inline sigset_t signals_{};

 public:
  // The calling process has no samplers, sessions or threads of ours, whatever it inherited.
  static void forget(core::process_state& s) noexcept {
    for (const auto* const place :
         {&s.samplers.forget_cpu, &s.samplers.forget_wall, &s.samplers.forget_dumper}) {
      if (auto* const forget_one = place->load(std::memory_order_acquire)) forget_one(s);
    }
    s.samplers.thread_begins.store(nullptr);
    s.samplers.own.store(nullptr);
    if (auto* const signal = s.samplers.signal.load(std::memory_order_acquire)) {
      signal->forget_holder();
    }
    s.samplers.cpu_profile.store(nullptr);
    s.samplers.process.store(::getpid());
  }

  static constexpr core::fork_hooks hooks{
      [](core::process_state&) noexcept {
        // Old kernels make fork begin anew after each signal, so that it may never end.
        sigset_t profiling;
        ::sigemptyset(&profiling);
        ::sigaddset(&profiling, SIGPROF);
        ::pthread_sigmask(SIG_BLOCK, &profiling, &signals_);
      },
      [](core::process_state&) noexcept { ::pthread_sigmask(SIG_SETMASK, &signals_, nullptr); },
      [](core::process_state& s) noexcept {
        forget(s);
        ::pthread_sigmask(SIG_SETMASK, &signals_, nullptr);
      }};

  // A child of _Fork or of the bare system call ran no handlers of fork's: it is noticed when it
  // first asks for a sampler.
  static void meet_process(core::process_state& s) noexcept {
    ::pid_t none = 0;
    const ::pid_t now = ::getpid();
    if (!s.samplers.process.compare_exchange_strong(none, now) && none != now) forget(s);
  }
};

// Before anything of this module's is hung from the root. Takes the loader's lock the first time.
inline void enter(core::process_state& s) noexcept {
  profiling_signal::prepare_module();
  fork_rules::meet_process(s);
}

}  // namespace whence::inline v1::samplers

#endif  // WHENCE_SAMPLERS_FORK_RULES_HPP
