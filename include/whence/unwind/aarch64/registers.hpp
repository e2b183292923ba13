// SPDX-License-Identifier: Apache-2.0
//
// The registers that a walk on AArch64 carries from frame to frame, where they come from, and their
// DWARF numbers (DWARF for the Arm 64-bit Architecture, section 4.1).
#ifndef WHENCE_UNWIND_AARCH64_REGISTERS_HPP
#define WHENCE_UNWIND_AARCH64_REGISTERS_HPP

#if defined(__aarch64__)  // empty elsewhere, so that every header compiles alone

#include <ucontext.h>

#include <cstdint>

#include <whence/unwind/pc.hpp>

#define WHENCE_LOAD_WORD "ldr %0, %1"

namespace whence::inline v1::unwind {

// A call leaves its return address in a register; the function saves it with others.
inline constexpr bool return_address_is_pushed = false;

namespace dwarf {
inline constexpr unsigned frame_pointer = 29;   // x29
inline constexpr unsigned return_address = 30;  // x30, the link register
inline constexpr unsigned stack_pointer = 31;
}  // namespace dwarf

// The place where a frame of the walk executes, and its registers there.
struct registers {
  std::uintptr_t pc;
  std::uintptr_t sp;
  std::uintptr_t fp;
  std::uintptr_t lr = 0;  // a leaf's; 0 in every other frame, whose calls have changed it
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

// The registers of call-frame information that dwarf_walk uses: those that a call keeps, and
// x9-x13, in which prologues keep the CFA while they probe a large frame.
//
//   slot:  0-4 x9-x13    5-15 x19-x29    16 x30    17 sp    18 pc
struct all_registers {
  static constexpr int count = 19;
  static constexpr int slot(std::uint64_t number) noexcept {
    if (number >= 9 && number <= 13) return static_cast<int>(number) - 9;
    if (number >= 19 && number <= 32) return static_cast<int>(number) - 14;
    return -1;
  }
  static constexpr int fp = 15;
  static constexpr int lr = 16;
  static constexpr int sp = 17;
  static constexpr int pc = 18;
  // A call may change these, so a caller's are lost unless saved (AAPCS64 6.1.1).
  static constexpr bool lost_in_call(int slot) noexcept { return slot < 5; }

  std::uintptr_t value[count];
};

// The part of all registers that the rules need.
inline registers rule_part(const all_registers& all) noexcept {
  return {all.value[all_registers::pc], all.value[all_registers::sp], all.value[all_registers::fp],
          all.value[all_registers::lr]};
}

inline registers interrupted(const ucontext_t& c) noexcept {
  const mcontext_t& m = c.uc_mcontext;
  return {m.pc, m.sp, m.regs[29], m.regs[30]};
}

inline void interrupted(const ucontext_t& c, all_registers& all) noexcept {
  for (unsigned number = 9; number <= 30; ++number) {
    const int slot = all_registers::slot(number);
    if (slot >= 0) all.value[slot] = c.uc_mcontext.regs[number];
  }
  all.value[all_registers::sp] = c.uc_mcontext.sp;
  all.value[all_registers::pc] = c.uc_mcontext.pc;
}

// Takes the registers of the function this is inlined into, and returns where it goes on. Its
// caller's sp is not known, because a frame record can lie anywhere in its frame.
[[gnu::always_inline]] inline pc here(registers& r) noexcept {
  static_assert(sizeof(registers) == 32);
  asm volatile(
      "adr x9, . + 4\n\t"
      "mov x10, sp\n\t"
      "stp x9, x10, [%0]\n\t"
      "stp x29, x30, [%0, 16]"
      :
      : "r"(&r)
      : "x9", "x10", "memory");
  return pc::return_address(r.pc);
}

// Takes those of the function this is inlined into; only what a call keeps is valid.
[[gnu::always_inline]] inline void here(all_registers& all) noexcept {
  for (std::uintptr_t& v : all.value) v = 0;
  asm volatile(
      "stp x19, x20, [%0, 40]\n\t"
      "stp x21, x22, [%0, 56]\n\t"
      "stp x23, x24, [%0, 72]\n\t"
      "stp x25, x26, [%0, 88]\n\t"
      "stp x27, x28, [%0, 104]\n\t"
      "stp x29, x30, [%0, 120]\n\t"
      "mov x9, sp\n\t"
      "adr x10, .\n\t"
      "stp x9, x10, [%0, 136]"
      :
      : "r"(all.value)
      : "x9", "x10", "memory");
}

// glibc puts it between a thread's stack and the thread pointer, which is as good a readable end.
inline std::uintptr_t thread_control_block() noexcept {
  return reinterpret_cast<std::uintptr_t>(__builtin_thread_pointer());
}

// A return address without what pointer authentication put into its upper bits. XPACLRI knows how
// many bits those are; a machine without authentication takes it for a NOP.
[[gnu::always_inline]] inline std::uintptr_t plain_code_address(std::uintptr_t address) noexcept {
  asm("mov x30, %0\n\t"
      "hint 7\n\t"
      "mov %0, x30"
      : "+r"(address)
      :
      : "x30");
  return address;
}

// What the rule cache distinguishes addresses by: the instruction that is looked up, without the
// two bits that are always 0, so that 49 bits of address fit. It takes the return address, because
// a walk has that at hand.
constexpr std::uint64_t rule_key(std::uintptr_t return_address) noexcept {
  return (return_address - 1) >> 2;
}

}  // namespace whence::inline v1::unwind

#endif  // defined(__aarch64__)

#endif  // WHENCE_UNWIND_AARCH64_REGISTERS_HPP
