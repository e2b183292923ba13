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
#include <initializer_list>

#include <whence/samplers/library_threads.hpp>
#include <whence/samplers/profiling_signal.hpp>
#include <whence/state/process_state.hpp>
#include <whence/sys/syscall_filter.hpp>

namespace whence::inline v1::samplers {

// Called around a fork, in the root's module; one fork at a time.
class fork_rules {
  static inline sigset_t signals_{};

 public:
  // Declares that the calling process has no samplers, sessions or threads of ours, whatever it
  // inherited.
  static void forget(state::process_state& s) noexcept {
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

  static constexpr state::fork_hooks hooks{
      [](state::process_state&) noexcept {
        // Old kernels restart fork after each signal, so that it might never end.
        sigset_t profiling;
        ::sigemptyset(&profiling);
        ::sigaddset(&profiling, SIGPROF);
        ::pthread_sigmask(SIG_BLOCK, &profiling, &signals_);
      },
      [](state::process_state&) noexcept { ::pthread_sigmask(SIG_SETMASK, &signals_, nullptr); },
      [](state::process_state& s) noexcept {
        forget(s);
        ::pthread_sigmask(SIG_SETMASK, &signals_, nullptr);
      }};

  // No fork handler has run in a child of _Fork or of the bare system call: such a child is noticed
  // when it first asks for a sampler.
  static void on_new_process(state::process_state& s) noexcept {
    ::pid_t none = 0;
    const ::pid_t now = ::getpid();
    if (!s.samplers.process.compare_exchange_strong(none, now) && none != now) forget(s);
  }
};

// Each session and each dump begins here. Requires: the root does not point to anything of this
// module yet. Takes the loader's lock the first time.
inline void enter(state::process_state& s) noexcept {
  sys::look_for_filter();  // first: what follows makes calls that a filter may forbid
  profiling_signal::prepare_module();
  fork_rules::on_new_process(s);
}

}  // namespace whence::inline v1::samplers

#endif  // WHENCE_SAMPLERS_FORK_RULES_HPP
