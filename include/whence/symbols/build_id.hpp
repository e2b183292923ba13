// SPDX-License-Identifier: Apache-2.0
//
// The GNU build-id: a note that names a build of a module, in hex as every client prints it.
//
//   note: | name size | content size | type | name, padded | content, padded |   padded to the
//   segment's alignment
#ifndef WHENCE_SYMBOLS_BUILD_ID_HPP
#define WHENCE_SYMBOLS_BUILD_ID_HPP

#include <elf.h>
#include <link.h>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>

namespace whence::inline v1::symbols {

template <class = void>
inline std::string to_hex(std::span<const std::byte> bytes) {
  constexpr char digits[] = "0123456789abcdef";
  std::string text;
  for (const std::byte b : bytes) {
    text += digits[std::to_integer<unsigned>(b) >> 4];
    text += digits[std::to_integer<unsigned>(b) & 15];
  }
  return text;
}

// Searches a segment of notes; empty if it has no build-id.
template <class = void>
inline std::string find_build_id(std::span<const std::byte> notes, std::uint64_t alignment) {
  const std::uint64_t unit = alignment == 8 ? 8 : 4;
  const auto padded = [unit](std::uint64_t n) { return (n + unit - 1) / unit * unit; };
  while (notes.size() >= sizeof(ElfW(Nhdr))) {
    ElfW(Nhdr) header;
    std::memcpy(&header, notes.data(), sizeof header);
    const std::uint64_t content = padded(sizeof header + std::uint64_t{header.n_namesz});
    const std::uint64_t next = padded(content + header.n_descsz);
    if (content + header.n_descsz > notes.size()) break;
    if (header.n_type == NT_GNU_BUILD_ID && header.n_namesz == 4 &&
        std::memcmp(notes.data() + sizeof header, "GNU", 4) == 0) {
      return to_hex(notes.subspan(content, header.n_descsz));
    }
    if (next >= notes.size()) break;
    notes = notes.subspan(next);
  }
  return {};
}

}  // namespace whence::inline v1::symbols

#endif  // WHENCE_SYMBOLS_BUILD_ID_HPP
