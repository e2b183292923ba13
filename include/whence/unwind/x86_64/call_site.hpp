// SPDX-License-Identifier: Apache-2.0
//
// Tells whether the bytes before an address are a call instruction, so that it can be a return
// address (Intel SDM volume 2A, CALL: E8 rel32, FF /2).
#ifndef WHENCE_UNWIND_X86_64_CALL_SITE_HPP
#define WHENCE_UNWIND_X86_64_CALL_SITE_HPP

#include <cstdint>
#include <cstring>

namespace whence::inline v1::unwind {

inline constexpr std::uintptr_t longest_call = 7;

struct call_site {
  bool is_call = false;
  std::uintptr_t target = 0;  // a direct call's target; 0: indirect, or no call
};

// `before`: the longest_call bytes in front of `ra`.
inline call_site call_before(const unsigned char* before, std::uintptr_t ra) noexcept {
  const auto at = [before](std::uintptr_t back) { return before[longest_call - back]; };
  if (at(5) == 0xe8) {
    std::int32_t distance;
    std::memcpy(&distance, before + longest_call - 4, sizeof distance);
    return {true, ra + static_cast<std::uintptr_t>(std::intptr_t{distance})};
  }
  // The code is FF, then ModRM with 2 in its middle field; what follows depends on mod and r/m.
  const auto indirect = [&at](std::uintptr_t length, unsigned mod, bool sib) {
    const unsigned modrm = at(length - 1);
    if (at(length) != 0xff || (modrm >> 3 & 7) != 2 || modrm >> 6 != mod) return false;
    return mod == 3 || ((modrm & 7) == 4) == sib;
  };
  const bool relative_to_rip = at(6) == 0xff && at(5) == 0x15;
  // This is call *address or call *%fs:address: a SIB byte without a base.
  const bool absolute = indirect(7, 0, true) && (at(5) & 7) == 5;
  const bool found = absolute || indirect(2, 3, false) || indirect(2, 0, false) ||
                     indirect(3, 1, false) || indirect(3, 0, true) || indirect(4, 1, true) ||
                     indirect(6, 2, false) || indirect(7, 2, true) || relative_to_rip;
  return {found, 0};
}

// A stub of the procedure linkage table: endbr64 or nothing, then jmp *slot(%rip), perhaps with the
// prefix of MPX.
inline constexpr std::uintptr_t longest_stub = 11;

// Where the stub at `address` finds its destination; 0 if it is not a stub.
inline std::uintptr_t slot_of_stub(const unsigned char* stub, std::uintptr_t address) noexcept {
  constexpr unsigned char endbr64[] = {0xf3, 0x0f, 0x1e, 0xfa};
  std::uintptr_t at = std::memcmp(stub, endbr64, sizeof endbr64) == 0 ? sizeof endbr64 : 0;
  if (stub[at] == 0xf2) ++at;
  if (stub[at] != 0xff || stub[at + 1] != 0x25) return 0;
  std::int32_t distance;
  std::memcpy(&distance, stub + at + 2, sizeof distance);
  return address + at + 6 + static_cast<std::uintptr_t>(std::intptr_t{distance});
}

// A signal handler returns to this code: mov $15, %rax (rt_sigreturn); syscall. Not every libc has
// call-frame information for it.
inline constexpr std::uintptr_t signal_return_bytes = 9;

inline bool is_signal_return(const unsigned char* code) noexcept {
  constexpr unsigned char expected[] = {0x48, 0xc7, 0xc0, 0x0f, 0, 0, 0, 0x0f, 0x05};
  return std::memcmp(code, expected, sizeof expected) == 0;
}

}  // namespace whence::inline v1::unwind

#endif  // WHENCE_UNWIND_X86_64_CALL_SITE_HPP
