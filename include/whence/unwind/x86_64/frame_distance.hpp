// SPDX-License-Identifier: Apache-2.0
//
// The frame pointer of a function from its stack pointer alone, if the code shows that the two keep
// their distance from the prologue to the epilogue:
//
//   push %rbp   mov %rsp,%rbp   push ...   sub $n,%rsp        distance = saved registers + n
//
// and no other instruction moves rsp: none of the byte sequences below is anywhere in the function,
// not even within an instruction. If one is (alloca, a realigned stack, arguments that are pushed
// and popped), the answer is unknown. (Intel SDM volume 2: 48 83|81 /0 /4 /5, 29, 2B, 89, 8B, 8D.)
#ifndef WHENCE_UNWIND_X86_64_FRAME_DISTANCE_HPP
#define WHENCE_UNWIND_X86_64_FRAME_DISTANCE_HPP

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>

namespace whence::inline v1::unwind {

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

}  // namespace whence::inline v1::unwind

#endif  // WHENCE_UNWIND_X86_64_FRAME_DISTANCE_HPP
