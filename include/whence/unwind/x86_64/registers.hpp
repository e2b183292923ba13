// SPDX-License-Identifier: Apache-2.0
//
// The registers that a walk on x86-64 carries from frame to frame, where they come from, and their
// DWARF numbers (System V ABI, AMD64 supplement, figure 3.36).
#ifndef WHENCE_UNWIND_X86_64_REGISTERS_HPP
#define WHENCE_UNWIND_X86_64_REGISTERS_HPP

#include <ucontext.h>

#include <cstdint>

#include <whence/unwind/pc.hpp>

#define WHENCE_LOAD_WORD "movq %1, %0"

namespace whence::inline v1::unwind {

// A call leaves its return address on the stack, just below the caller's frame.
inline constexpr bool return_address_is_pushed = true;

namespace dwarf {
inline constexpr unsigned frame_pointer = 6;  // rbp
inline constexpr unsigned stack_pointer = 7;  // rsp
inline constexpr unsigned return_address = 16;
}  // namespace dwarf

// The place where a frame of the walk executes, and its registers there.
struct registers {
  std::uintptr_t pc;
  std::uintptr_t sp;
  std::uintptr_t fp;
};

// The registers that rules use.
struct rule_registers {
  static constexpr int count = 2;
  static constexpr int fp = 0;
  static constexpr int ra = 1;
  static constexpr int slot(std::uint64_t number) noexcept {
    return number == dwarf::frame_pointer ? fp : number == dwarf::return_address ? ra : -1;
  }
};

// All registers by DWARF number, for dwarf_walk.
struct all_registers {
  static constexpr int count = 17;
  static constexpr int slot(std::uint64_t number) noexcept {
    return number < count ? static_cast<int>(number) : -1;
  }
  static constexpr int pc = dwarf::return_address;
  static constexpr int lr = pc;  // x86-64 has no lr
  static constexpr int sp = dwarf::stack_pointer;
  static constexpr int fp = dwarf::frame_pointer;
  // The ABI lets a call change these, so a caller's are lost unless saved.
  static constexpr bool lost_in_call(int slot) noexcept {
    return slot != 3 && slot != fp && slot != sp && (slot < 12 || slot > 16);
  }

  std::uintptr_t value[count];
};

// The greg of each DWARF number: rax rdx rcx rbx rsi rdi rbp rsp r8-r15 rip.
inline constexpr int greg_of[all_registers::count] = {
    REG_RAX, REG_RDX, REG_RCX, REG_RBX, REG_RSI, REG_RDI, REG_RBP, REG_RSP, REG_R8,
    REG_R9,  REG_R10, REG_R11, REG_R12, REG_R13, REG_R14, REG_R15, REG_RIP};

// The part of all registers that the rules need.
inline registers rule_part(const all_registers& all) noexcept {
  return {all.value[all_registers::pc], all.value[all_registers::sp], all.value[all_registers::fp]};
}

inline registers interrupted(const ucontext_t& c) noexcept {
  const auto& g = c.uc_mcontext.gregs;
  return {static_cast<std::uintptr_t>(g[REG_RIP]), static_cast<std::uintptr_t>(g[REG_RSP]),
          static_cast<std::uintptr_t>(g[REG_RBP])};
}

inline void interrupted(const ucontext_t& c, all_registers& all) noexcept {
  for (int i = 0; i < all_registers::count; ++i) {
    all.value[i] = static_cast<std::uintptr_t>(c.uc_mcontext.gregs[greg_of[i]]);
  }
}

// Takes the registers of the caller of the function this is inlined into, and returns where the
// caller goes on. That function then keeps a frame pointer, which saves the walk a lookup.
[[gnu::always_inline]] inline pc here(registers& r) noexcept {
  const auto* const frame = static_cast<const std::uintptr_t*>(__builtin_frame_address(0));
  r.fp = frame[0];
  r.pc = frame[1];
  r.sp = reinterpret_cast<std::uintptr_t>(frame + 2);
  return pc::return_address(r.pc);
}

// Takes those of the function this is inlined into; only what a call keeps is valid.
[[gnu::always_inline]] inline void here(all_registers& all) noexcept {
  for (std::uintptr_t& v : all.value) v = 0;
  asm volatile(
      "movq %%rbx, 24(%0)\n\t"
      "movq %%rbp, 48(%0)\n\t"
      "movq %%rsp, 56(%0)\n\t"
      "movq %%r12, 96(%0)\n\t"
      "movq %%r13, 104(%0)\n\t"
      "movq %%r14, 112(%0)\n\t"
      "movq %%r15, 120(%0)\n\t"
      "leaq 0(%%rip), %%rax\n\t"
      "movq %%rax, 128(%0)"
      :
      : "r"(all.value)
      : "rax", "memory");
}

inline std::uintptr_t thread_control_block() noexcept {
  std::uintptr_t tcb;
  asm("movq %%fs:0, %0" : "=r"(tcb));
  return tcb;
}

// A return address without what the machine put into its upper bits; on x86-64 that is nothing.
[[gnu::always_inline]] inline std::uintptr_t plain_code_address(std::uintptr_t address) noexcept {
  return address;
}

// What the rule cache distinguishes addresses by: 47 bits, all that user space has. It takes the
// return address, because a walk has that at hand.
constexpr std::uint64_t rule_key(std::uintptr_t return_address) noexcept {
  return return_address;
}

}  // namespace whence::inline v1::unwind

#endif  // WHENCE_UNWIND_X86_64_REGISTERS_HPP
