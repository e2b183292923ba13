// SPDX-License-Identifier: Apache-2.0
//
// The section .gnu_debugdata of a stripped module (Fedora, RHEL): an ELF file, packed by xz, with
// the symbols of functions that .dynsym lacks. It has names, but no lines.
//
//   xz: | streams of blocks | index: 0, records, (packed, plain size) each | CRC-32, 4 |
//       | CRC-32, 4 | size of the index / 4 - 1, 4 | flags, 2 | "YZ" |
#ifndef WHENCE_SYMBOLS_MINIDEBUGINFO_HPP
#define WHENCE_SYMBOLS_MINIDEBUGINFO_HPP

#include <whence/config.hpp>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <span>
#include <string>
#include <type_traits>
#include <vector>

#include <whence/symbols/byte_source.hpp>
#include <whence/symbols/elf.hpp>

namespace whence::inline v1::symbols {

// The unpacked size that an xz file declares; nullopt if it is damaged.
template <class = void>
inline std::optional<std::uint64_t> unpacked_size(std::span<const std::byte> xz) noexcept {
  constexpr std::size_t footer = 12;
  if (xz.size() < 2 * footer) return std::nullopt;
  std::uint32_t words = 0;
  std::memcpy(&words, xz.data() + xz.size() - 8, sizeof words);
  const std::uint64_t index = (std::uint64_t{words} + 1) * 4;
  if (index > xz.size() - footer) return std::nullopt;
  std::span<const std::byte> rest = xz.subspan(xz.size() - footer - index, index);
  const auto number = [&rest]() -> std::optional<std::uint64_t> {
    std::uint64_t value = 0;
    for (unsigned shift = 0; !rest.empty() && shift < 63; shift += 7) {
      const auto byte = std::to_integer<std::uint64_t>(rest.front());
      rest = rest.subspan(1);
      value |= (byte & 0x7f) << shift;
      if ((byte & 0x80) == 0) return value;
    }
    return std::nullopt;
  };
  if (number() != std::uint64_t{0}) return std::nullopt;
  const auto records = number();
  std::uint64_t total = 0;
  for (std::uint64_t i = 0; records && i < *records; ++i) {
    const auto packed = number();
    const auto plain = number();
    if (!packed || !plain || *plain > (std::uint64_t{1} << 32)) return std::nullopt;
    total += *plain;
  }
  return records ? std::optional(total) : std::nullopt;
}

template <class = void>
class basic_no_minidebuginfo {
 public:
  static std::vector<std::byte> unpack(const byte_source&, const elf&, std::string&, int&) {
    return {};
  }
};
using no_minidebuginfo = basic_no_minidebuginfo<>;

template <class>
class basic_libdw_minidebuginfo;
using libdw_minidebuginfo = basic_libdw_minidebuginfo<void>;

}  // namespace whence::inline v1::symbols

#if WHENCE_WITH_LIBDW
#include <whence/symbols/libdw_minidebuginfo.hpp>
#endif

namespace whence::inline v1::symbols {

// unpack(source, file, why, error) returns the packed file of a module; empty if it has none, or it
// cannot be read. Then `why` gives the reason, and `error` the errno of a temporary failure.
using minidebuginfo = std::conditional_t<config::with_libdw, libdw_minidebuginfo, no_minidebuginfo>;

}  // namespace whence::inline v1::symbols

#endif  // WHENCE_SYMBOLS_MINIDEBUGINFO_HPP
