// SPDX-License-Identifier: Apache-2.0
//
// What instructions tell about the addresses around them (Arm Architecture Reference Manual for
// A-profile, C6.2): whether one is a return address, which follows a call.
#ifndef WHENCE_UNWIND_AARCH64_CALL_SITE_HPP
#define WHENCE_UNWIND_AARCH64_CALL_SITE_HPP

#if defined(__aarch64__)  // empty elsewhere, so that every header compiles alone

#include <cstdint>
#include <cstring>

namespace whence::inline v1::unwind {

inline constexpr std::uintptr_t longest_call = 4;

struct call_site {
  bool is_call = false;
  std::uintptr_t target = 0;  // a direct call's target; 0: indirect, or no call
};

inline std::uint32_t instruction_at(const unsigned char* code) noexcept {
  std::uint32_t instruction;
  std::memcpy(&instruction, code, sizeof instruction);
  return instruction;
}

// The lowest `width` bits of a number, as a signed one.
constexpr std::int64_t sign_extended(std::uint64_t number, unsigned width) noexcept {
  return static_cast<std::int64_t>(number << (64 - width)) >> (64 - width);
}

// `before`: the longest_call bytes in front of `ra`.
inline call_site call_before(const unsigned char* before, std::uintptr_t ra) noexcept {
  if (ra % 4 != 0) return {};
  const std::uint32_t i = instruction_at(before);
  if ((i & 0xfc000000) == 0x94000000) {  // BL
    const std::int64_t distance = 4 * sign_extended(i, 26);
    return {true, ra - longest_call + static_cast<std::uintptr_t>(distance)};
  }
  const bool found = (i & 0xfffffc1f) == 0xd63f0000 ||  // BLR
                     (i & 0xfffff81f) == 0xd63f081f ||  // BLRAAZ, BLRABZ
                     (i & 0xfffff800) == 0xd73f0800;    // BLRAA, BLRAB
  return {found, 0};
}

// A stub of the procedure linkage table: bti c or nothing, then adrp x16, page; ldr x17, [x16, n].
inline constexpr std::uintptr_t longest_stub = 12;

// Where the stub at `address` finds its destination; 0 if it is not a stub.
inline std::uintptr_t slot_of_stub(const unsigned char* stub, std::uintptr_t address) noexcept {
  constexpr std::uint32_t bti_c = 0xd503245f;
  const std::uintptr_t at = instruction_at(stub) == bti_c ? 4 : 0;
  const std::uint32_t adrp = instruction_at(stub + at);
  const std::uint32_t ldr = instruction_at(stub + at + 4);
  if ((adrp & 0x9f00001f) != 0x90000010 || (ldr & 0xffc003ff) != 0xf9400211) return 0;
  const std::uint64_t pages = (adrp >> 5 & 0x7ffff) << 2 | (adrp >> 29 & 3);
  const std::uintptr_t page = (address + at) & ~std::uintptr_t{0xfff};
  return page + static_cast<std::uintptr_t>(sign_extended(pages, 21) * 4096) +
         std::uintptr_t{8} * (ldr >> 10 & 0xfff);
}

// A signal handler returns to this code: mov x8, 139 (rt_sigreturn); svc 0. Not every vDSO has
// call-frame information for it, and emulators have no vDSO.
inline constexpr std::uintptr_t signal_return_bytes = 8;

inline bool is_signal_return(const unsigned char* code) noexcept {
  return instruction_at(code) == 0xd2801168 && instruction_at(code + 4) == 0xd4000001;
}

}  // namespace whence::inline v1::unwind

#endif  // defined(__aarch64__)

#endif  // WHENCE_UNWIND_AARCH64_CALL_SITE_HPP
