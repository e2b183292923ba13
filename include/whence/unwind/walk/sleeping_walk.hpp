// SPDX-License-Identifier: Apache-2.0
//
// The stack of another thread, which sleeps in the kernel, from its stack pointer and the place of
// its system call, which the kernel tells (sys/proc_task.hpp). The kernel does not tell its frame
// pointer:
//
//   libc's wrappers and most optimized code need none; a frame that saved it gives it back;
//   a frame that needs it earlier is left by its call: the first word above that returns behind a
//   direct call of just this function (recover.hpp).
//
// Old stacks leave such words behind in frames that do not use all their room. So a stack counts
// only if it ends at a root, and if every other word that could have been taken is the return
// address of one of its own frames, as in a recursion; a wrong stack is worse than none.
//
// Signal-safe. Never allocates. 5 to 20 us, most of it the kernel's copying.
#ifndef WHENCE_UNWIND_WALK_SLEEPING_WALK_HPP
#define WHENCE_UNWIND_WALK_SLEEPING_WALK_HPP

#include <cstddef>
#include <cstdint>

#include <whence/unwind/arch.hpp>
#include <whence/unwind/modules/module_memory.hpp>
#include <whence/unwind/pc.hpp>
#include <whence/unwind/stop_reason.hpp>
#include <whence/unwind/trace.hpp>
#include <whence/unwind/unwinder.hpp>
#include <whence/unwind/walk/copied_stack.hpp>
#include <whence/unwind/walk/return_address_check.hpp>
#include <whence/unwind/walk/rule_walk.hpp>

namespace whence::inline v1::unwind {

// Memory for the copy of a stack, its frames, and where they end.
struct sleeping_stack_room {
  // The usual limit of a stack; pages that no copy reaches take no memory.
  static constexpr std::size_t stack_bytes = std::size_t{8} << 20;
  std::byte stack[stack_bytes];
  std::uintptr_t pcs[max_depth + 1];  // for the caller's trace
  std::uintptr_t frames[max_depth];   // sp of each
};

class sleeping_walk {
 public:
  sleeping_walk(unwinder& u, std::uintptr_t pc, std::uintptr_t sp,
                sleeping_stack_room& room) noexcept
      : unwinder_(u),
        room_(room),
        walk_(u, without_fp(pc, sp), pc::instruction(pc),
              copied_stack(sp, room.stack, sizeof room.stack)) {}

  // Fills `t` from the leaf on with the frames that are certain. True if they are all of the stack.
  bool fill(trace& t) noexcept {
    t.leaf_is_ip = true;
    if (!walk_.start()) {
      room_.frames[t.depth] = walk_.in_hand().sp;
      t.pcs[t.depth++] = walk_.in_hand().pc;
      t.has_plugins = walk_.met_plugin();
      return false;
    }
    bool goes_on = true;
    while (goes_on && t.depth < t.capacity) {
      room_.frames[t.depth] = walk_.in_hand().sp;
      t.pcs[t.depth++] = walk_.in_hand().pc;
      goes_on = walk_.step();
    }
    t.has_plugins = walk_.met_plugin();
    if ((goes_on || walk_.end() == stop_reason::root) && is_certain(t.depth)) {
      t.truncated = goes_on;
      return true;
    }
    // The frames before the first that was left by its call alone needed only rules.
    const copied_stack& stack = walk_.stack();
    while (stack.recoveries > 0 && t.depth > 1 &&
           (stack.has_moved() || room_.frames[t.depth - 1] > stack.recovery_of[0].sp)) {
      --t.depth;
    }
    return false;
  }

 private:
  using stack_walk = rule_walk<copied_memory, copied_stack>;

  // No frame begins at 1.
  static registers without_fp(std::uintptr_t pc, std::uintptr_t sp) noexcept {
    registers r{};
    r.pc = pc;
    r.sp = sp;
    r.fp = 1;
    return r;
  }

  bool is_certain(std::size_t depth) noexcept {
    const copied_stack& stack = walk_.stack();
    if (stack.recoveries == 0) return true;
    if (stack.has_moved() || stack.recoveries > copied_stack::most_recoveries) return false;
    for (int i = 0; i < stack.recoveries; ++i) {
      if (!is_certain(stack.recovery_of[i], depth)) return false;
    }
    return true;
  }

  // True if each word that returns behind a call of the function belongs to a frame.
  bool is_certain(const copied_stack::recovery& r, std::size_t depth) noexcept {
    const copied_stack& stack = walk_.stack();
    const std::uintptr_t root = room_.frames[depth - 1];
    const std::uintptr_t end = root < stack.end() ? root : stack.end();
    std::size_t frame = 0;
    for (std::uintptr_t at = copied_stack::first_return(r.sp, r.function); at + word <= end;
         at += word) {
      const std::uintptr_t ra = plain_code_address(stack.load(at));
      if (!is_code(ra) || !calls(ra, r.function)) continue;
      while (frame < depth && room_.frames[frame] <= at) ++frame;
      if (frame == depth || !is_return_of(frame, at)) return false;
    }
    return true;
  }

  // True if the word at `at` returns to frame `above`, the first that begins above it.
  bool is_return_of(std::size_t above, std::uintptr_t at) const noexcept {
    return above > 0 && room_.frames[above] - at <= longest_record && room_.frames[above - 1] <= at;
  }

  // True if a module has code there.
  bool is_code(std::uintptr_t ra) noexcept {
    return ra > sys::page_bytes &&
           (unwinder_.permanent().find(ra - 1) != nullptr || plugin_.holds(ra - 1) ||
            unwinder_.loaded().find(ra - 1, memory_, plugin_));
  }

  static constexpr std::uintptr_t word = sizeof(std::uintptr_t);
  // It is the word just below on x86-64; on AArch64 it may be with the other saved registers.
  static constexpr std::uintptr_t longest_record = return_address_is_pushed ? word : 16 * word;

  unwinder& unwinder_;
  sleeping_stack_room& room_;
  stack_walk walk_;
  copied_memory memory_;
  plugin plugin_;
};

}  // namespace whence::inline v1::unwind

#endif  // WHENCE_UNWIND_WALK_SLEEPING_WALK_HPP
