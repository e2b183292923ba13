// SPDX-License-Identifier: Apache-2.0
//
// How far below its saved frame pointer a function's stack pointer is at least, read off its first
// instructions, which every compiler makes alike if there is a frame pointer:
//
//   [endbr64]  push %rbp   mov %rsp,%rbp   push ...   sub $n,%rsp
//
// This is a lower bound, because more may follow. (Intel SDM volume 2: 55, 48 89 E5, 53, 41 54..57,
// 48 83|81 EC)
#ifndef WHENCE_UNWIND_X86_64_PROLOGUE_HPP
#define WHENCE_UNWIND_X86_64_PROLOGUE_HPP

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <initializer_list>

namespace whence::inline v1::unwind {

inline constexpr std::size_t longest_prologue = 28;

// `code`: the first longest_prologue bytes of the function. 0 if they are not such a prologue.
inline std::uintptr_t least_room_below_fp(const unsigned char* code) noexcept {
  const auto is = [&code](std::initializer_list<unsigned char> bytes) {
    if (std::memcmp(code, bytes.begin(), bytes.size()) != 0) return false;
    code += bytes.size();
    return true;
  };
  is({0xf3, 0x0f, 0x1e, 0xfa});
  if (!is({0x55}) || !is({0x48, 0x89, 0xe5})) return 0;
  std::uintptr_t room = 0;
  while (is({0x53}) || is({0x41, 0x54}) || is({0x41, 0x55}) || is({0x41, 0x56}) ||
         is({0x41, 0x57})) {
    room += 8;
  }
  std::int32_t n = 0;
  if (is({0x48, 0x83, 0xec})) {
    n = *code < 0x80 ? *code : 0;  // a negative operand makes no room
  } else if (is({0x48, 0x81, 0xec})) {
    std::memcpy(&n, code, sizeof n);
  }
  return n > 0 ? room + static_cast<std::uintptr_t>(n) : room;
}

}  // namespace whence::inline v1::unwind

#endif  // WHENCE_UNWIND_X86_64_PROLOGUE_HPP
