// SPDX-License-Identifier: Apache-2.0
//
// A code address that knows what it is. A return address may be the first byte of the next line, or
// of the next function if the callee never returns, so the byte before is looked up, which is
// inside the call. An instruction pointer is looked up as it is. Only lookup() subtracts.
#ifndef WHENCE_UNWIND_PC_HPP
#define WHENCE_UNWIND_PC_HPP

#include <cstdint>

namespace whence::inline v1::unwind {

class pc {
 public:
  static constexpr pc instruction(std::uintptr_t address) noexcept { return {address, 0}; }
  static constexpr pc return_address(std::uintptr_t address) noexcept { return {address, 1}; }

  constexpr std::uintptr_t address() const noexcept { return address_; }
  constexpr bool is_return_address() const noexcept { return back_ != 0; }

  // The address to find functions, lines and unwind rules by.
  constexpr std::uintptr_t lookup() const noexcept { return address_ - back_; }

  // The return address with the same lookup(): the form of an interrupted instruction among return
  // addresses.
  constexpr std::uintptr_t as_return_address() const noexcept { return lookup() + 1; }

  friend constexpr bool operator==(pc, pc) = default;

 private:
  constexpr pc(std::uintptr_t address, std::uintptr_t back) noexcept
      : address_(address), back_(back) {}

  std::uintptr_t address_;
  std::uintptr_t back_;
};

}  // namespace whence::inline v1::unwind

#endif  // WHENCE_UNWIND_PC_HPP
