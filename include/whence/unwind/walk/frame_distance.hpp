// SPDX-License-Identifier: Apache-2.0
//
// The frame pointer of a frame whose registers are not known, from its stack pointer and the code
// of its function: for walks of other threads' stacks, hence apart from arch.hpp, which every
// recording includes.
#ifndef WHENCE_UNWIND_WALK_FRAME_DISTANCE_HPP
#define WHENCE_UNWIND_WALK_FRAME_DISTANCE_HPP

#include <cstddef>
#include <cstdint>
#include <span>

#include <whence/sys/safe_read.hpp>
#include <whence/unwind/arch.hpp>
#include <whence/unwind/cfi/cfa_program.hpp>
#include <whence/unwind/cfi/eh_frame.hpp>
#include <whence/unwind/code.hpp>

namespace whence::inline v1::unwind {

// 0 if it is not certain. `lookup`: an address within the call that the frame is in.
inline std::uintptr_t fixed_fp(const fde& f, std::uintptr_t lookup, std::uintptr_t sp) noexcept {
#if defined(__x86_64__)
  constexpr std::size_t longest_function = 8 * 1024;
  constexpr std::int64_t cfa_above_fp = 16;
  cfa_row<all_registers> row;
  if (!cfa_program<all_registers>(f).run(f, lookup, row) || row.cfa_by_expression ||
      row.cfa_register != dwarf::frame_pointer || row.cfa_offset != cfa_above_fp) {
    return 0;
  }
  std::int64_t lowest = -cfa_above_fp;
  for (const register_rule& r : row.registers) {
    if (r.where == register_location::at_cfa && r.value < lowest) lowest = r.value;
  }
  const std::size_t bytes = f.limit - f.start;
  unsigned char code[longest_function];
  if (bytes > sizeof code || !sys::copy_memory(code, f.start, bytes)) return 0;
  const std::int64_t distance = fixed_distance({code, bytes}, lowest);
  return distance < 0 ? 0 : sp + static_cast<std::uintptr_t>(distance);
#else
  (void)f, (void)lookup, (void)sp;
  return 0;
#endif
}

}  // namespace whence::inline v1::unwind

#endif  // WHENCE_UNWIND_WALK_FRAME_DISTANCE_HPP
