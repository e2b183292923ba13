// SPDX-License-Identifier: Apache-2.0
//
// Reads a word somewhere above sp, for the less common steps. Signal-safe.
#ifndef WHENCE_UNWIND_WALK_READ_ABOVE_SP_HPP
#define WHENCE_UNWIND_WALK_READ_ABOVE_SP_HPP

#include <cstdint>

namespace whence::inline v1::unwind {

// False if it is below sp or may not be read. `Stack` is like stack_memory.
template <class Stack>
bool read_above_sp(std::uintptr_t sp, std::uintptr_t address, Stack& stack,
                   std::uintptr_t& value) noexcept {
  const std::uintptr_t end = address + sizeof value;
  if (address < sp || end < address || (end > stack.end() && !stack.reach(end))) return false;
  value = stack.load(address);
  return true;
}

}  // namespace whence::inline v1::unwind

#endif  // WHENCE_UNWIND_WALK_READ_ABOVE_SP_HPP
