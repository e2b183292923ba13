// SPDX-License-Identifier: Apache-2.0
//
// What the rest of the library calls in a part that a program may not use: around forks, when a
// thread begins, and for what it adds to the profiles of threads. A part takes its place in the
// root when it is first used, in a module that then stays loaded; so no lower folder includes it,
// and a program without it does not compile it.
#ifndef WHENCE_STATE_GUEST_HPP
#define WHENCE_STATE_GUEST_HPP

#include <atomic>
#include <cstddef>

namespace whence::inline v1::snapshots {
struct dump_parts;
template <class>
class basic_waits_in_progress;
}  // namespace whence::inline v1::snapshots

namespace whence::inline v1::state {

struct process_state;

// Each may be nullptr. Those that take a const state throw std::bad_alloc.
struct guest {
  // The forking thread calls both, and the one thread of the child the second.
  void (*before_fork)(process_state&) noexcept = nullptr;
  void (*after_fork)(process_state&) noexcept = nullptr;
  // The child's thread calls it before after_fork; if no handler of fork ran, the child's first
  // thread that asks for a sampler.
  void (*after_fork_in_child)(process_state&) noexcept = nullptr;
  // A tracked thread that begins calls it.
  void (*on_thread_start)(process_state&) noexcept = nullptr;
  // What `goroutine` shows besides threads, and `block` besides the waits of threads.
  std::size_t (*count)(const process_state&) = nullptr;
  void (*add_stacks)(const process_state&, const snapshots::dump_parts&) = nullptr;
  void (*add_waits)(const process_state&, snapshots::basic_waits_in_progress<void>&) = nullptr;
};

// The guests of a process, one in each role: of several modules that have the code of a part, the
// first one's functions are called, so that what one of them begins the same module ends.
// Lock-free.
class guest_list {
 public:
  enum role { coroutines, cpu_sampler, wall_sampler, dumper, profiling_signal };

  // Requires: `it` is static, and its module is never unloaded.
  void enter(role as, const guest& it) noexcept {
    const guest* none = nullptr;
    guests_[as].compare_exchange_strong(none, &it, std::memory_order_release,
                                        std::memory_order_relaxed);
  }
  bool has(role as) const noexcept {
    return guests_[as].load(std::memory_order_acquire) != nullptr;
  }

  // Calls that function of each guest.
  template <class Function, class... Arguments>
  void call(Function guest::*function, Arguments&... arguments) const {
    for (const auto& one : guests_) {
      const guest* const it = one.load(std::memory_order_acquire);
      if (it != nullptr && it->*function != nullptr) (it->*function)(arguments...);
    }
  }

  std::size_t count(const process_state& s) const {
    std::size_t sum = 0;
    for (const auto& one : guests_) {
      const guest* const it = one.load(std::memory_order_acquire);
      if (it != nullptr && it->count != nullptr) sum += it->count(s);
    }
    return sum;
  }

 private:
  std::atomic<const guest*> guests_[profiling_signal + 1]{};
};

}  // namespace whence::inline v1::state

#endif  // WHENCE_STATE_GUEST_HPP
