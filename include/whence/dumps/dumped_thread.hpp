// SPDX-License-Identifier: Apache-2.0
//
// A thread of a dump that is being made.
#ifndef WHENCE_DUMPS_DUMPED_THREAD_HPP
#define WHENCE_DUMPS_DUMPED_THREAD_HPP

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <vector>

#include <whence/instruments/lock_holder.hpp>
#include <whence/samplers/stack_request.hpp>
#include <whence/snapshots/thread_snapshot.hpp>
#include <whence/sys/safe_read.hpp>
#include <whence/tables/wait_slots.hpp>

namespace whence::inline v1::dumps {

// A thread's wait for a lock, as a slot showed it.
struct seen_wait {
  const tables::wait_slot* slot = nullptr;  // nullptr: it waits for no lock
  std::uint32_t sequence = 0;
  tables::wait_in_progress wait;
  std::uintptr_t holder_sp = 0, holder_pc = 0;  // instruments::lock_holder

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

struct dumped_thread : snapshots::placed_thread {
  std::vector<std::uintptr_t> frame_sps;  // each frame's stack pointer, if the thread sleeps
  std::uintptr_t sp = 0;                  // 0 if unknown
  std::int64_t cpu_ns = -1;               // when it was asked, or in its sleep
  samplers::stack_request* asked = nullptr;
  seen_wait wait;  // for a lock, in its sleep
  // If it was running: the lock in whose wait it was, about to sleep or just woken.
  const instruments::lock_holder* awaited = nullptr;
};

}  // namespace whence::inline v1::dumps

#endif  // WHENCE_DUMPS_DUMPED_THREAD_HPP
