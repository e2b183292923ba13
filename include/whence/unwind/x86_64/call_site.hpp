// SPDX-License-Identifier: Apache-2.0
//
// Whether the bytes before an address are a call instruction, so that it can be a return address
// (Intel SDM volume 2A, CALL: E8 rel32, FF /2).
#ifndef WHENCE_UNWIND_X86_64_CALL_SITE_HPP
#define WHENCE_UNWIND_X86_64_CALL_SITE_HPP

#include <cstdint>
#include <cstring>

namespace whence::inline v1::unwind {

inline constexpr std::uintptr_t longest_call = 7;

struct call_site {
  bool is_call = false;
  std::uintptr_t target = 0;  // of a direct call; 0: indirect, or no call
};

// `before`: the longest_call bytes in front of `ra`.
inline call_site call_before(const unsigned char* before, std::uintptr_t ra) noexcept {
  const auto at = [before](std::uintptr_t back) { return before[longest_call - back]; };
  if (at(5) == 0xe8) {
    std::int32_t distance;
    std::memcpy(&distance, before + longest_call - 4, sizeof distance);
    return {true, ra + static_cast<std::uintptr_t>(std::intptr_t{distance})};
  }
  // FF, then ModRM with 2 in its middle field; what follows depends on mod and r/m.
  const auto indirect = [&at](std::uintptr_t length, unsigned mod, bool sib) {
    const unsigned modrm = at(length - 1);
    if (at(length) != 0xff || (modrm >> 3 & 7) != 2 || modrm >> 6 != mod) return false;
    return mod == 3 || ((modrm & 7) == 4) == sib;
  };
  const bool relative_to_rip = at(6) == 0xff && at(5) == 0x15;
  const bool found = indirect(2, 3, false) || indirect(2, 0, false) || indirect(3, 1, false) ||
                     indirect(3, 0, true) || indirect(4, 1, true) || indirect(6, 2, false) ||
                     indirect(7, 2, true) || relative_to_rip;
  return {found, 0};
}

}  // namespace whence::inline v1::unwind

#endif  // WHENCE_UNWIND_X86_64_CALL_SITE_HPP
