// SPDX-License-Identifier: Apache-2.0
//
// How a module meets the root: finds the first copy in the process, opens it if nobody has, and
// brings its own gate up to date. Runs once a module, on its first slow path.
//
// The loader's list lock is only ever taken alone: never while a lock of ours is held, and nothing
// that runs under it takes one.
#ifndef WHENCE_PROFILE_ATTACH_HPP
#define WHENCE_PROFILE_ATTACH_HPP

#include <cstddef>
#include <cstdint>
#include <initializer_list>

#include <whence/profile/environment.hpp>
#include <whence/profile/fork.hpp>
#include <whence/profile/process_state.hpp>
#include <whence/profile/settings.hpp>
#include <whence/sys/errno_guard.hpp>
#include <whence/sys/no_cancel.hpp>
#include <whence/sys/once_root.hpp>
#include <whence/unwind/trace.hpp>

namespace whence::inline v1::core {

// Brings the gates of all modules up to date. What is stored is read under the loader's lock, so of
// two changes the later one is the last everywhere.
inline void publish_gates(const process_state& s) noexcept {
  sys::for_each_root([&s](void* address) {
    auto* const module = static_cast<process_state*>(address);
    if (module->bytes != sizeof(process_state)) return false;
    // The mask before the floor: whoever samples by the new floor may hand out unaligned blocks.
    module->own_gate.free_mask.store(s.free_mask.load(std::memory_order_relaxed),
                                     std::memory_order_relaxed);
    module->own_gate.floor.store(s.heap.gate_floor(), std::memory_order_release);
    return false;
  });
}

// At such a rate sampled blocks are not aligned to pages.
inline bool may_leave_untagged(std::int64_t rate) noexcept {
  return rate > 0 && rate < smallest_tagging_rate;
}

inline profile* make_predefined(process_state& s, kind k, const profile* shown) noexcept {
  profile*& p = s.predefined[static_cast<int>(k)];
  p = s.profiles.find_or_make(info(k).name, info(k).description, k, shown).it;
  return p;
}

inline bool open_root(process_state& s) noexcept {
  const sys::scoped_lock hold(s.opening);
  if (s.open) return true;
  if (!s.blocks.open() || !s.values.open() || !s.wide_values.open() || !s.filter.open()) {
    return false;
  }
  const profile* const heap = make_predefined(s, kind::heap, nullptr);
  for (const kind k :
       {kind::block, kind::goroutine, kind::mutex, kind::mutex_hold, kind::threadcreate}) {
    if (make_predefined(s, k, nullptr) == nullptr) return false;
  }
  if (heap == nullptr || make_predefined(s, kind::allocs, heap) == nullptr) return false;

  const std::int64_t rate =
      environment_number("WHENCE_HEAP_RATE", 0, largest_rate, default_heap_rate);
  if (may_leave_untagged(rate)) s.free_mask = 0;
  s.heap.change(rate);
  s.hold_rate =
      environment_number("WHENCE_MUTEX_HOLD_RATE", 0, largest_hold_rate, default_hold_rate);
  s.block_rate = environment_number("WHENCE_BLOCK_RATE", 0, largest_block_rate, default_block_rate);
  s.mutex_fraction = environment_number("WHENCE_MUTEX_FRACTION", 0, largest_mutex_fraction,
                                        default_mutex_fraction);
  s.stack_depth = static_cast<int>(environment_number(
      "WHENCE_STACK_DEPTH", 1, static_cast<std::int64_t>(unwind::max_depth), default_stack_depth));
  s.budget.set_limit(static_cast<std::size_t>(
      environment_number("WHENCE_MEMORY_LIMIT", 0, std::int64_t{1} << 47,
                         static_cast<std::int64_t>(default_memory_limit))));
  s.open = true;
  return true;
}

[[gnu::noinline, gnu::cold]] inline process_state* attach() noexcept {
  const sys::errno_guard keep;
  const sys::no_cancel uncancelled;
  process_state* first = &own_state;
  sys::for_each_root([&first](void* address) {
    auto* const candidate = static_cast<process_state*>(address);
    if (candidate->bytes != sizeof(process_state)) return false;
    first = candidate;
    return true;
  });
  sys::pin(first);
  // Before a lock is taken that a child of fork could find held.
  fork_handlers::install();
  if (!first->unwinder.open() || !open_root(*first)) return nullptr;
  if (const char* const warning = settings_warning(settings_difference());
      warning != nullptr && !first->mixed_settings.exchange(true)) {
    say(warning);
  }
  publish_gates(*first);
  // Release pairs with state(): whoever sees the root finds it open.
  root.store(first, std::memory_order_release);
  return first;
}

#if defined(__PIC__) && !defined(__PIE__)
// 101: the first that is not the implementation's. A library meets the root here, inside dlopen,
// because later it may be under a lock of the program's that a thread in dlopen wants: keeping a
// plugin loaded takes the loader's lock.
[[gnu::constructor(101), gnu::used]] static void install_early() noexcept {
  fork_handlers::install();
  state();
}
#else
// A program comes before the constructors of all its libraries, which may register handlers too.
[[gnu::section(".preinit_array"),
  gnu::used]] static void (*const install_early)() = &fork_handlers::install;
#endif

}  // namespace whence::inline v1::core

#endif  // WHENCE_PROFILE_ATTACH_HPP
