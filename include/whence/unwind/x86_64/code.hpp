// SPDX-License-Identifier: Apache-2.0
//
// What the bytes of a function's code tell a walk of another thread's stack: how far its stack
// pointer is from its frame pointer, and whether an address is at a system call. Apart from
// arch.hpp, because only such walks need it.
#ifndef WHENCE_UNWIND_X86_64_CODE_HPP
#define WHENCE_UNWIND_X86_64_CODE_HPP

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <initializer_list>
#include <span>

namespace whence::inline v1::unwind {

// ---- the prologue
//
// How far below its saved frame pointer a function's stack pointer is at least, read off its first
// instructions, which every compiler makes alike if there is a frame pointer:
//
//   [endbr64]  push %rbp   mov %rsp,%rbp   push ...   sub $n,%rsp
//
// This is a lower bound, because more may follow. (Intel SDM volume 2: 55, 48 89 E5, 53, 41 54..57,
// 48 83|81 EC)

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

// ---- the distance of two pointers
//
// The frame pointer of a function from its stack pointer alone, if the code shows that the two keep
// their distance from the prologue to the epilogue:
//
//   push %rbp   mov %rsp,%rbp   push ...   sub $n,%rsp        distance = saved registers + n
//
// and no other instruction moves rsp: none of the byte sequences below is anywhere in the function,
// not even within an instruction. If one is (alloca, a realigned stack, arguments that are pushed
// and popped), the answer is unknown. (Intel SDM volume 2: 48 83|81 /0 /4 /5, 29, 2B, 89, 8B, 8D.)

// What a function's code does to its stack pointer.
class stack_pointer_moves {
 public:
  explicit stack_pointer_moves(std::span<const unsigned char> code) noexcept {
    const std::size_t prologue = code.size() < longest_prologue_ ? code.size() : longest_prologue_;
    for (std::size_t i = 0; i + 3 <= prologue; ++i) {
      if (has_frame_ || code[i] != 0x48 || code[i + 1] != 0x89 || code[i + 2] != 0xe5) continue;
      has_frame_ = true;
      pads_ = ends_in_padding(code.subspan(i + 3));
    }
    for (std::size_t i = 0; i + 7 <= code.size(); ++i) look_at(code.data() + i);
  }

  // How many bytes the prologue takes for locals; -1 if rsp may move later.
  std::int64_t locals() const noexcept {
    const bool steady = has_frame_ && !moves_ && takes_ <= 1;
    const bool gives_back = takes_ == 1 ? gives_ == taken_ : pads_ && gives_ == padding_;
    return steady && (gives_ == 0 || gives_back) ? taken_ : -1;
  }

 private:
  // clang takes 8 bytes by push %rax after the registers.
  static bool ends_in_padding(std::span<const unsigned char> code) noexcept {
    for (std::size_t i = 0; i + 1 < code.size(); ++i) {
      if (code[i] == 0x50) return true;
      const bool high = code[i] == 0x41;
      const unsigned char push = code[high ? ++i : i];
      if (!(high ? push >= 0x54 && push <= 0x57 : push == 0x53)) return false;
    }
    return false;
  }

  void go_down(std::int64_t bytes) noexcept {
    if (bytes > 0) {
      ++takes_;
      taken_ = bytes;
    } else {
      moves_ = moves_ || (gives_ != 0 && gives_ != -bytes);
      gives_ = -bytes;
    }
  }

  void look_at(const unsigned char* at) noexcept {
    const unsigned char prefix = at[0];
    if (prefix != 0x48 && prefix != 0x49 && prefix != 0x4c) return;
    const unsigned char operation = at[1];
    const unsigned char operand = at[2];
    const bool to_register = operand >> 6 == 3;
    const bool to_rsp = to_register && (operand & 7) == 4 && prefix != 0x49;
    const bool from_operand_to_rsp = (operand >> 3 & 7) == 4 && prefix != 0x4c;
    if (operation == 0x83 || operation == 0x81) {
      if (!to_rsp || prefix != 0x48) return;
      std::int32_t n = static_cast<std::int32_t>(at[3] ^ 0x80U) - 0x80;
      if (operation == 0x81) std::memcpy(&n, at + 3, sizeof n);
      switch (operand >> 3 & 7) {
        case 5:  // sub
          go_down(n);
          break;
        case 0:  // add; add $-128 has a one-byte operand, sub $128 has not
          go_down(-std::int64_t{n});
          break;
        case 7:  // cmp
          break;
        default:
          moves_ = true;
      }
    } else if (operation == 0x29 || operation == 0x01 || operation == 0x21) {
      moves_ = moves_ || to_rsp;
    } else if (operation == 0x89) {
      moves_ = moves_ || (to_rsp && !(prefix == 0x48 && operand == 0xec));  // mov %rbp,%rsp
    } else if (operation == 0x2b || operation == 0x03 || operation == 0x23 || operation == 0x8b) {
      moves_ = moves_ || from_operand_to_rsp;
    } else if (operation == 0x8d) {
      const bool to_saved = operand == 0x65 || operand == 0xa5;  // lea -n(%rbp),%rsp
      moves_ = moves_ || (from_operand_to_rsp && !(prefix == 0x48 && to_saved));
    }
  }

  static constexpr std::size_t longest_prologue_ = 40;
  static constexpr std::int64_t padding_ = 8;
  bool has_frame_ = false;
  bool pads_ = false;
  bool moves_ = false;
  int takes_ = 0;
  std::int64_t taken_ = 0;
  std::int64_t gives_ = 0;
};

// How far the frame pointer is above the stack pointer in all of the function's body; -1 if that is
// not certain. `lowest_saved`: offset from the CFA of the lowest register that the prologue pushed.
// At a call both are multiples of 16 (System V ABI 3.2.2), whatever was pushed to make it so.
inline std::int64_t fixed_distance(std::span<const unsigned char> code,
                                   std::int64_t lowest_saved) noexcept {
  constexpr std::int64_t fp_below_cfa = 16;
  const std::int64_t locals = stack_pointer_moves(code).locals();
  if (locals < 0 || lowest_saved > -fp_below_cfa) return -1;
  return (-lowest_saved - fp_below_cfa + locals + 15) / 16 * 16;
}

// ---- system calls
//
// Tells whether bytes of code are a system call.

inline constexpr std::uintptr_t syscall_bytes = 2;

inline bool is_syscall(const unsigned char* code) noexcept {
  return code[0] == 0x0f && code[1] == 0x05;
}

// mov $14, %eax (rt_sigprocmask); syscall
inline constexpr std::uintptr_t signal_mask_call_bytes = 7;

inline bool is_signal_mask_call(const unsigned char* code) noexcept {
  constexpr unsigned char expected[] = {0xb8, 0x0e, 0, 0, 0, 0x0f, 0x05};
  return std::memcmp(code, expected, sizeof expected) == 0;
}

}  // namespace whence::inline v1::unwind

#endif  // WHENCE_UNWIND_X86_64_CODE_HPP
