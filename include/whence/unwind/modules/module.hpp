// SPDX-License-Identifier: Apache-2.0
//
// Where a loaded module is, and its code and call-frame information in it.
#ifndef WHENCE_UNWIND_MODULES_MODULE_HPP
#define WHENCE_UNWIND_MODULES_MODULE_HPP

#include <elf.h>
#include <link.h>

#include <cstdint>

#include <whence/unwind/cfi/eh_frame.hpp>

namespace whence::inline v1::unwind {

// A module in memory. Ranges are half-open.
struct module {
  std::uintptr_t start = 0, end = 0;            // all its segments
  std::uintptr_t code_start = 0, code_end = 0;  // its executable segments
  frame_section frames;

  bool holds_code(std::uintptr_t address) const noexcept {
    return address >= code_start && address < code_end;
  }
};

inline module describe(const dl_phdr_info& info) noexcept {
  module m;
  m.start = m.code_start = ~std::uintptr_t{0};
  for (int i = 0; i < info.dlpi_phnum; ++i) {
    const ElfW(Phdr)& segment = info.dlpi_phdr[i];
    const std::uintptr_t start = info.dlpi_addr + segment.p_vaddr;
    const std::uintptr_t end = start + segment.p_memsz;
    if (segment.p_type == PT_GNU_EH_FRAME) m.frames.header = start;
    if (segment.p_type != PT_LOAD) continue;
    m.start = start < m.start ? start : m.start;
    m.end = end > m.end ? end : m.end;
    if ((segment.p_flags & PF_X) == 0) continue;
    m.code_start = start < m.code_start ? start : m.code_start;
    m.code_end = end > m.code_end ? end : m.code_end;
  }
  // Both sections lie in one segment: linkers put the table beside what it indexes.
  for (int i = 0; i < info.dlpi_phnum; ++i) {
    const ElfW(Phdr)& segment = info.dlpi_phdr[i];
    const std::uintptr_t start = info.dlpi_addr + segment.p_vaddr;
    if (segment.p_type == PT_LOAD && (segment.p_flags & PF_R) != 0 &&
        m.frames.header - start < segment.p_filesz) {
      m.frames.begin = start;
      m.frames.end = start + segment.p_filesz;
    }
  }
  if (m.frames.begin == 0) m.frames = {};
  return m;
}

}  // namespace whence::inline v1::unwind

#endif  // WHENCE_UNWIND_MODULES_MODULE_HPP
