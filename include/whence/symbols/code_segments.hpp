// SPDX-License-Identifier: Apache-2.0
//
// The addresses at which an ELF file has code, by its program headers, which may be damaged.
#ifndef WHENCE_SYMBOLS_CODE_SEGMENTS_HPP
#define WHENCE_SYMBOLS_CODE_SEGMENTS_HPP

#include <elf.h>
#include <link.h>

#include <cstdint>

#include <whence/symbols/byte_source.hpp>
#include <whence/sys/algorithms.hpp>
#include <whence/sys/vector.hpp>

namespace whence::inline v1::symbols {

template <class = void>
class basic_code_segments {
 public:
  basic_code_segments() = default;
  explicit basic_code_segments(const byte_source& source) {
    ElfW(Ehdr) header;
    if (!source.read_value(0, header) || header.e_phentsize != sizeof(ElfW(Phdr))) return;
    for (std::uint64_t i = 0; i < header.e_phnum; ++i) {
      ElfW(Phdr) segment;
      if (!source.read_value(header.e_phoff + i * sizeof segment, segment)) return;
      if (segment.p_type != PT_LOAD || (segment.p_flags & PF_X) == 0) continue;
      const std::uint64_t end = segment.p_vaddr + segment.p_memsz;
      if (end <= segment.p_vaddr) continue;
      low_ = all_.empty() ? segment.p_vaddr : sys::least(low_, std::uint64_t{segment.p_vaddr});
      high_ = sys::most(high_, end);
      all_.push_back({segment.p_vaddr, end});
    }
  }

  bool hold(std::uint64_t address) const noexcept {
    for (const range& r : all_) {
      if (address >= r.low && address < r.high) return true;
    }
    return false;
  }

  // The first address, and the one behind the last; 0 if there is no code.
  std::uint64_t low() const noexcept { return low_; }
  std::uint64_t high() const noexcept { return high_; }

 private:
  struct range {
    std::uint64_t low, high;
  };

  sys::vector<range> all_;
  std::uint64_t low_ = 0;
  std::uint64_t high_ = 0;
};
using code_segments = basic_code_segments<>;

}  // namespace whence::inline v1::symbols

#endif  // WHENCE_SYMBOLS_CODE_SEGMENTS_HPP
