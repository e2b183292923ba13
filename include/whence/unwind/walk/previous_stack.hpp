// SPDX-License-Identifier: Apache-2.0
//
// The last deep stack of a thread, so that the next walk covers its new frames only. It is a record
// of each frame's registers, and of where its caller's RA and fp were read:
//
//   frame k:  | pc | fp | end - sp | where RA of k+1 is | where fp of k+1 is, or 0 |
//
// A frame with the same pc, sp and fp as frame k has the same rule; if the two words still hold
// what they held, its caller is frame k+1, and so on. So every word that a walk would read is read,
// at addresses that are known beforehand: the loads do not wait for each other, which is what makes
// a walk slow. Only words that were read are trusted.
//
// A record pays only if stacks are deep and alike, so only deep ones use it. After each use without
// profit it rests twice as long as before, after each profitable one half as long. A few records
// serve all threads; a walk does not wait for one that is in use.
//
// Signal-safe. 16 KiB.
#ifndef WHENCE_UNWIND_WALK_PREVIOUS_STACK_HPP
#define WHENCE_UNWIND_WALK_PREVIOUS_STACK_HPP

#include <atomic>
#include <cstddef>
#include <cstdint>

#include <whence/unwind/arch.hpp>

namespace whence::inline v1::unwind {

inline constexpr std::size_t least_previous_depth = 16;

struct memo_frame {
  std::uintptr_t pc, fp;
  std::uint32_t sp, ra_at, fp_at;  // how far below the end of the stack; fp_at 0: fp was kept
};

class previous_stack {
 public:
  static constexpr std::size_t capacity = 120;

  // True if a stack of this thread may be here; the record is then the caller's until leave().
  bool enter() noexcept {
    return active_.load(std::memory_order_relaxed) &&
           !busy_.exchange(true, std::memory_order_acquire);
  }
  void leave() noexcept { busy_.store(false, std::memory_order_release); }

  // Notes that a deep stack was taken without the record.
  void saw_deep_stack() noexcept {
    if (busy_.exchange(true, std::memory_order_acquire)) return;
    if (rest_ > 0) {
      --rest_;
    } else {
      size = 0;
      active_.store(true, std::memory_order_relaxed);
    }
    leave();
  }

  // Requires: entered.
  void was_useful(bool useful) noexcept {
    if (useful) {
      if (doublings_ > 0) --doublings_;
      return;
    }
    active_.store(false, std::memory_order_relaxed);
    rest_ = std::uint32_t{1} << doublings_;
    if (doublings_ < most_doublings) ++doublings_;
  }

  // Requires: entered. The frames, leaf first, of the stack that ends at `end`.
  std::uintptr_t end = 0;
  std::size_t size = 0;
  memo_frame frames[capacity]{};

 private:
  static constexpr std::uint32_t most_doublings = 10;

  std::atomic<bool> busy_{false};
  std::atomic<bool> active_{false};
  std::uint32_t rest_ = 0;       // deep stacks
  std::uint32_t doublings_ = 0;  // of the next rest, which is 1 without
};

class previous_stacks {
 public:
  static constexpr std::size_t count = 4;

  // All zeros, so that it lies in .bss.
  struct storage {
    previous_stack of[count]{};
  };

  constexpr explicit previous_stacks(storage& own) noexcept : storage_(own) {}

  previous_stack& of_this_thread() const noexcept {
    return storage_.of[thread_control_block() >> 12 & (count - 1)];
  }

 private:
  storage& storage_;
};

}  // namespace whence::inline v1::unwind

#endif  // WHENCE_UNWIND_WALK_PREVIOUS_STACK_HPP
