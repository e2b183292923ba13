// SPDX-License-Identifier: Apache-2.0
//
// The samplers' own threads, which are in no profile but as what they cost.
#ifndef WHENCE_SAMPLERS_OWN_THREADS_HPP
#define WHENCE_SAMPLERS_OWN_THREADS_HPP

#include <sys/types.h>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <new>

#include <whence/profile/known_start.hpp>
#include <whence/profile/process_state.hpp>
#include <whence/sys/service_thread.hpp>
#include <whence/sys/task_list.hpp>

namespace whence::inline v1::samplers {

struct own_threads {
  explicit own_threads(core::process_state&) noexcept {}

  sys::service_thread cpu_watcher, wall_clock;

  // 0, or the system's error.
  static int start(sys::service_thread& thread, void (*body)(void*), void* argument,
                   const char* name) noexcept {
    const core::known_start ours;
    return thread.start(body, argument, name);
  }

  bool has(::pid_t tid) const noexcept {
    return tid == cpu_watcher.tid() || tid == wall_clock.tid();
  }
  std::int64_t cpu_ns() const noexcept { return cpu_watcher.cpu_ns() + wall_clock.cpu_ns(); }
};

// What hangs there, made if there is nothing; nullptr where there is no memory. The loser of a race
// leaves its copy behind: the arena takes nothing back.
template <class T>
T* made_once(core::process_state& s, std::atomic<T*>& place) noexcept {
  T* it = place.load(std::memory_order_acquire);
  if (it != nullptr) return it;
  void* const memory = s.arena.allocate_always(sizeof(T));
  if (memory == nullptr) return nullptr;
  auto* const made = ::new (memory) T(s);
  return place.compare_exchange_strong(it, made, std::memory_order_acq_rel) ? made : it;
}

// The threads of the process that are the program's; 1 where they cannot be listed.
inline std::size_t count_threads() noexcept {
  const core::process_state* const s = core::root.load(std::memory_order_acquire);
  const own_threads* const own =
      s == nullptr ? nullptr : s->samplers.own.load(std::memory_order_acquire);
  std::size_t count = 0;
  sys::for_each_task([&](::pid_t tid) { count += own == nullptr || !own->has(tid) ? 1 : 0; });
  return count > 0 ? count : 1;
}

}  // namespace whence::inline v1::samplers

#endif  // WHENCE_SAMPLERS_OWN_THREADS_HPP
