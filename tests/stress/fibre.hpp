// SPDX-License-Identifier: Apache-2.0
//
// A context with its own stack (makecontext), to which threads switch and return.
#ifndef WHENCE_TESTS_STRESS_FIBRE_HPP
#define WHENCE_TESTS_STRESS_FIBRE_HPP

#include <sys/mman.h>
#include <ucontext.h>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstdlib>

#include "support/sanitizers.hpp"
#include "walkers.hpp"

extern "C" void* __tsan_get_current_fiber(void);
extern "C" void* __tsan_create_fiber(unsigned flags);
extern "C" void __tsan_destroy_fiber(void* fiber);
extern "C" void __tsan_switch_to_fiber(void* fiber, unsigned flags);

namespace stress {

// It has its own stack, whose bounds serve only the walk of frame pointers. ThreadSanitizer has to
// be told of every switch, and no function may return between that and the switch.
class fibre {
 public:
  static inline constinit thread_local fibre* current = nullptr;

  fibre() {
    void* const p =
        ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED) std::abort();
    memory_ = p;
  }
  ~fibre() {
    forget();
    ::munmap(memory_, size);
  }
  fibre(const fibre&) = delete;
  fibre& operator=(const fibre&) = delete;

  void start(void (*entry)()) {
    forget();
    if constexpr (thread_sanitized) known_inside_ = __tsan_create_fiber(0);
    entry_ = entry;
    ::getcontext(&inside_);
    inside_.uc_stack = {memory_, 0, size};
    inside_.uc_link = &outside_;
    ::makecontext(&inside_, run, 0);
    resume();
  }
  void resume() {
    current = this;
    if constexpr (thread_sanitized) {
      known_outside_ = __tsan_get_current_fiber();
      __tsan_switch_to_fiber(known_inside_, 0);
    }
    ::swapcontext(&outside_, &inside_);
    current = nullptr;
  }
  void pause() {
    if constexpr (thread_sanitized) __tsan_switch_to_fiber(known_outside_, 0);
    ::swapcontext(&inside_, &outside_);
  }

  memory_range bounds() const noexcept {
    const auto begin = reinterpret_cast<std::uintptr_t>(memory_);
    return {begin, begin + size};
  }

 private:
  static constexpr std::size_t size = 256 * 1024;

  static void run() {
    context_start.store(reinterpret_cast<std::uintptr_t>(__builtin_return_address(0)),
                        std::memory_order_relaxed);
    current->entry_();
    if constexpr (thread_sanitized) {
      const ucontext_t& outside = current->outside_;
      __tsan_switch_to_fiber(current->known_outside_, 0);
      ::setcontext(&outside);
    }
  }

  void forget() {
    if constexpr (thread_sanitized) {
      if (known_inside_ != nullptr) __tsan_destroy_fiber(known_inside_);
      known_inside_ = nullptr;
    }
  }

  void* memory_ = nullptr;
  void (*entry_)() = nullptr;
  ucontext_t inside_{}, outside_{};
  void* known_inside_ = nullptr;  // to ThreadSanitizer
  void* known_outside_ = nullptr;
};

// Called outside handlers, before the first walk of a fibre.
inline void learn_context_start() {
  fibre().start([] {});
}

}  // namespace stress

#endif  // WHENCE_TESTS_STRESS_FIBRE_HPP
