// SPDX-License-Identifier: Apache-2.0
//
// Which stack memory may be read. A walk only climbs, so all it needs is an end:
//
//   known    sp is on the thread's own stack. Its end is __libc_stack_end for the main thread, the
//            thread control block for every other, which glibc puts above the stack. That all pages
//            from sp to there can be read is asked once and remembered for the thread.
//   unknown  a fibre, an alternate signal stack, a thread not made by glibc: each page is asked
//            about before it is read, for this walk alone, since such a stack may go at any time.
//
// Signal-safe. Never allocates.
#ifndef WHENCE_UNWIND_WALK_STACK_MEMORY_HPP
#define WHENCE_UNWIND_WALK_STACK_MEMORY_HPP

#include <unistd.h>

#include <atomic>
#include <cstdint>

#include <whence/sys/main_stack_end.hpp>
#include <whence/sys/safe_read.hpp>
#include <whence/sys/thread_local.hpp>
#include <whence/unwind/arch.hpp>
#include <whence/unwind/stop_reason.hpp>

namespace whence::inline v1::unwind {

// A word of the stack. It is loaded by hand, so that no sanitizer checks it: a walk reads what
// belongs to other functions.
[[gnu::always_inline]] inline std::uintptr_t load_word(std::uintptr_t address) noexcept {
  using word [[gnu::may_alias]] = std::uintptr_t;
  std::uintptr_t value;
  asm(WHENCE_LOAD_WORD : "=r"(value) : "m"(*reinterpret_cast<const word*>(address)));
  return value;
}

// A handler may see it half written: the begin is written first, so the range it sees then is
// readable.
struct known_stack {
  std::uintptr_t begin, bytes;          // readable, and the thread's own
  std::uintptr_t not_begin, not_bytes;  // looked at, and not the thread's own: only saves time

  static void set(std::uintptr_t& begin_of, std::uintptr_t& bytes_of, std::uintptr_t from,
                  std::uintptr_t to) noexcept {
    begin_of = from;
    std::atomic_signal_fence(std::memory_order_release);
    bytes_of = to - from;
  }
};
WHENCE_THREAD_LOCAL known_stack this_stack{};

class stack_memory {
 public:
  // The stack as the common step of a walk sees it: the slow step handles what is beyond its end.
  struct view {
    std::uintptr_t limit;
    std::uintptr_t end() const noexcept { return limit; }
    static bool reach(std::uintptr_t) noexcept { return false; }
    static bool can_read(std::uintptr_t) noexcept { return false; }
    static std::uintptr_t load(std::uintptr_t address) noexcept { return load_word(address); }
  };
  [[gnu::always_inline]] view now() const noexcept { return {end_}; }

  // A frame whose registers lead nowhere may be left by a likely word of the stack.
  static constexpr bool takes_likely = true;
  static constexpr std::uintptr_t recovery_words = 256;
  static std::uintptr_t first_return(std::uintptr_t sp, std::uintptr_t) noexcept { return sp; }
  static void recovered(std::uintptr_t, std::uintptr_t) noexcept {}

  [[gnu::always_inline]] explicit stack_memory(std::uintptr_t sp) noexcept { move_to(sp); }

  // True if it is the thread's own.
  bool is_own() const noexcept { return own_; }

  // What it means that a frame returns to 0: code that makes a stack by hand may begin it so. glibc
  // begins a thread's own stack otherwise, so there the word was overwritten.
  stop_reason end_of_null_return() const noexcept {
    return is_own() ? stop_reason::not_code : stop_reason::root;
  }

  // The bytes from sp to here can be read.
  std::uintptr_t end() const noexcept { return end_; }

  // True if `address` is known to be on the thread's own stack: not code, whatever the bytes before
  // it are.
  bool holds(std::uintptr_t address) const noexcept {
    return own_ && address - this_stack.begin < this_stack.bytes;
  }

  // True if the word at `address`, which need not be above sp, can be read.
  [[gnu::noinline, gnu::cold]] static bool can_read(std::uintptr_t address) noexcept {
    return sys::is_readable(address);
  }

  // Requires: reached, or can_read.
  std::uintptr_t load(std::uintptr_t address) const noexcept { return load_word(address); }

  // Prepares to read the stack that holds `sp`.
  [[gnu::always_inline]] void move_to(std::uintptr_t sp) noexcept {
    const std::uintptr_t begin = this_stack.begin;
    const std::uintptr_t bytes = this_stack.bytes;
    if (sp - begin < bytes) [[likely]] {
      end_ = begin + bytes;
      own_ = true;
    } else {
      look_at(sp);
    }
  }

  // Tries to make [end(), to) readable; called when a frame is beyond the end.
  [[gnu::noinline, gnu::cold]] bool reach(std::uintptr_t to) noexcept {
    if (own_ || to < end_ || to - end_ > largest_frame) return false;
    while (end_ < to) {
      if (!sys::is_readable(end_)) return false;
      end_ += sys::page_bytes;
    }
    return true;
  }

 private:
  // Asking about 64 MiB takes 2 ms. Of a thread's own stack only what is new is asked about.
  static constexpr std::uintptr_t largest_frame = std::uintptr_t{1} << 26;
  static constexpr std::uintptr_t largest_stack = std::uintptr_t{1} << 30;

  static std::uintptr_t page_of(std::uintptr_t address) noexcept {
    return address & ~(sys::page_bytes - 1);
  }

  [[gnu::noinline, gnu::cold]] void look_at(std::uintptr_t sp) noexcept {
    known_stack& known = this_stack;
    const std::uintptr_t page = page_of(sp);
    if (sp - known.not_begin >= known.not_bytes) {
      const std::uintptr_t own_end = upper_end();
      // Bytes known to be readable are not asked about again.
      const bool grew = known.begin + known.bytes == own_end && known.bytes != 0;
      const std::uintptr_t ask_to = grew ? known.begin : own_end;
      std::uintptr_t at = page;
      if (sp < own_end && own_end - sp <= largest_stack) {
        while (at < ask_to && sys::is_readable(at)) at += sys::page_bytes;
        if (at >= ask_to) {
          known_stack::set(known.begin, known.bytes, page, own_end);
          end_ = own_end;
          own_ = true;
          return;
        }
      }
      known_stack::set(known.not_begin, known.not_bytes, page, at > page ? at : page + 1);
    }
    end_ = page;
    own_ = false;
    // Invariant: the end is not below sp.
    if (!reach(page + sys::page_bytes)) {
      end_ = sp;
    }
  }

  static std::uintptr_t upper_end() noexcept {
    return ::gettid() == ::getpid() ? reinterpret_cast<std::uintptr_t>(__libc_stack_end)
                                    : thread_control_block();
  }

  std::uintptr_t end_ = 0;
  bool own_ = true;
};

}  // namespace whence::inline v1::unwind

#endif  // WHENCE_UNWIND_WALK_STACK_MEMORY_HPP
