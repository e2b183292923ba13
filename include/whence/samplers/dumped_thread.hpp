// SPDX-License-Identifier: Apache-2.0
//
// A thread of a dump that is being made.
#ifndef WHENCE_SAMPLERS_DUMPED_THREAD_HPP
#define WHENCE_SAMPLERS_DUMPED_THREAD_HPP

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <vector>

#include <whence/profile/thread_state.hpp>
#include <whence/profile/wait_slots.hpp>
#include <whence/samplers/asked_stack.hpp>
#include <whence/sys/safe_read.hpp>

namespace whence::inline v1::samplers {

// A thread's wait for a lock, as a slot showed it.
struct seen_wait {
  const core::wait_slot* slot = nullptr;  // nullptr: it waits for no lock
  std::uint32_t sequence = 0;
  core::wait_in_progress wait;
  std::uintptr_t holder_sp = 0, holder_pc = 0;  // core::lock_holder

  // Reads who holds the lock. The lock may be destroyed as soon as its wait ends: false then.
  bool read_holder() noexcept {
    std::uintptr_t words[2]{};
    if (!sys::copy_memory(words, reinterpret_cast<std::uintptr_t>(wait.lock), sizeof words)) {
      return false;
    }
    holder_sp = words[0];
    holder_pc = words[1];
    return slot->sequence.load(std::memory_order_acquire) == sequence;
  }
};

struct dumped_thread : core::placed_thread {
  std::vector<std::uintptr_t> frame_sps;  // each frame's stack pointer, if the thread sleeps
  std::uintptr_t sp = 0;                  // 0 if unknown
  std::int64_t cpu_ns = -1;               // when it was asked, or in its sleep
  asked_stack* asked = nullptr;
  seen_wait wait;  // for a lock, in its sleep
};

}  // namespace whence::inline v1::samplers

#endif  // WHENCE_SAMPLERS_DUMPED_THREAD_HPP
