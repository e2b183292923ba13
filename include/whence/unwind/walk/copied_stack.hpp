// SPDX-License-Identifier: Apache-2.0
//
// The stack of another thread, copied piece by piece as a walk climbs. The kernel copies: a stack
// that is unmapped meanwhile is an error, not a fault. The pieces may be of different moments; the
// caller of the walk finds out whether the thread has run.
//
//   sp ─> | copied | copied | not yet ...                    `room` bytes at most
//
// The interface is stack_memory's. Never allocates. Some 2 us for each piece of 16 KiB.
#ifndef WHENCE_UNWIND_WALK_COPIED_STACK_HPP
#define WHENCE_UNWIND_WALK_COPIED_STACK_HPP

#include <cstddef>
#include <cstdint>
#include <cstring>

#include <whence/sys/errno_guard.hpp>
#include <whence/sys/safe_read.hpp>
#include <whence/unwind/cfi/eh_frame.hpp>
#include <whence/unwind/code.hpp>
#include <whence/unwind/stop_reason.hpp>
#include <whence/unwind/walk/frame_distance.hpp>

namespace whence::inline v1::unwind {

class copied_stack {
 public:
  static constexpr std::size_t piece = 16 * 1024;

  // `room`: where the copy goes; it must outlive the object.
  copied_stack(std::uintptr_t sp, std::byte* room, std::size_t bytes) noexcept
      : room_(room), room_bytes_(bytes), begin_(sp), end_(sp) {
    reach(sp + 1);
  }

  struct view {
    std::uintptr_t begin, limit;
    const std::byte* room;
    std::uintptr_t end() const noexcept { return limit; }
    static bool reach(std::uintptr_t) noexcept { return false; }
    static bool can_read(std::uintptr_t) noexcept { return false; }
    std::uintptr_t load(std::uintptr_t address) const noexcept {
      std::uintptr_t word;
      std::memcpy(&word, room + (address - begin), sizeof word);
      return word;
    }
  };
  view now() const noexcept { return {begin_, end_, room_}; }

  static constexpr bool is_own() noexcept { return false; }
  // No frame of a thread's own stack, the only one that is trusted here, returns to 0.
  static constexpr stop_reason end_of_null_return() noexcept { return stop_reason::not_code; }

  std::uintptr_t end() const noexcept { return end_; }
  bool holds(std::uintptr_t address) const noexcept { return address - begin_ < end_ - begin_; }
  static constexpr bool can_read(std::uintptr_t) noexcept { return false; }
  std::uintptr_t load(std::uintptr_t address) const noexcept { return now().load(address); }

  // Moves to where a signal was taken: another stack, or further up on this one. The copy is
  // dropped.
  void move_to(std::uintptr_t sp) noexcept {
    moved_ = true;
    begin_ = end_ = sp;
    reach(sp + 1);
  }
  bool has_moved() const noexcept { return moved_; }

  // Goes on copying, whole pages at a time, until [begin, to) is copied.
  bool reach(std::uintptr_t to) noexcept {
    while (end_ < to) {
      const std::uintptr_t next = (end_ + piece) & ~(sys::page_bytes - 1);
      if (next <= end_ || next - begin_ > room_bytes_) return false;
      const sys::errno_guard keep;
      const ssize_t copied = sys::copy_by_kernel(room_ + (end_ - begin_), end_, next - end_);
      if (copied <= 0) return false;
      end_ += static_cast<std::uintptr_t>(copied) & ~std::uintptr_t{7};
    }
    return true;
  }

  // A frame pointer that is not known must not be guessed.
  static constexpr bool takes_likely = false;
  static constexpr std::uintptr_t recovery_words = 8192;
  static std::uintptr_t fp_of(const fde& f, std::uintptr_t lookup, std::uintptr_t sp) noexcept {
    return fixed_fp(f, lookup, sp);
  }

  // The lowest place that the return address of a function's call can have: what the function keeps
  // for itself above sp holds old words, which are not calls.
  static std::uintptr_t first_return(std::uintptr_t sp, std::uintptr_t function) noexcept {
    unsigned char code[longest_prologue];
    const bool known = sys::copy_memory(code, function, sizeof code);
    return known ? sp + least_room_below_fp(code) : sp;
  }

  // The functions that were left by their call alone, and from where.
  struct recovery {
    std::uintptr_t function, sp;
  };
  static constexpr int most_recoveries = 8;
  void recovered(std::uintptr_t function, std::uintptr_t sp) noexcept {
    if (recoveries < most_recoveries) recovery_of[recoveries] = {function, sp};
    ++recoveries;
  }
  int recoveries = 0;
  recovery recovery_of[most_recoveries]{};

 private:
  std::byte* room_;
  std::size_t room_bytes_;
  std::uintptr_t begin_, end_;
  bool moved_ = false;
};

}  // namespace whence::inline v1::unwind

#endif  // WHENCE_UNWIND_WALK_COPIED_STACK_HPP
