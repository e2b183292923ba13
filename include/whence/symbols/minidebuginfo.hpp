// SPDX-License-Identifier: Apache-2.0
//
// The section .gnu_debugdata of a stripped module (Fedora, RHEL): an ELF file, packed by xz, with
// the symbols of functions that .dynsym lacks. It has names, but no lines.
//
//   xz: | magic, 6 | flags, 2 | CRC-32, 4 | blocks | index | CRC-32, 4 | size of the index / 4 - 1,
//   4 |
//       | flags, 2 | "YZ" |
//   a block: | header | chunks, each with its plain size | padding to 4 | check |
//
// (The .xz File Format 1.0.4; LZMA2 as in xz-embedded's xz_dec_lzma2.c)
#ifndef WHENCE_SYMBOLS_MINIDEBUGINFO_HPP
#define WHENCE_SYMBOLS_MINIDEBUGINFO_HPP

#include <whence/config.hpp>

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <span>
#include <string>
#include <type_traits>

#include <whence/symbols/byte_source.hpp>
#include <whence/symbols/elf.hpp>
#include <whence/sys/vector.hpp>

namespace whence::inline v1::symbols {

// The unpacked size of an xz file, as its chunks give it: a decoder makes no more of them, while
// the sizes in the index and in the blocks' headers are compared with its work only afterwards.
// nullopt if the file is damaged, has several streams, or needs much memory.
class xz_size {
 public:
  static std::optional<std::uint64_t> of(std::span<const std::byte> xz) noexcept {
    constexpr std::array<unsigned char, 6> magic = {0xfd, '7', 'z', 'X', 'Z', 0};
    if (xz.size() < 2 * footer_bytes || std::memcmp(xz.data(), magic.data(), 6) != 0) return {};
    constexpr std::array<std::size_t, 16> checks = {0,  4,  4,  4,  8,  8,  8,  16,
                                                    16, 16, 32, 32, 32, 64, 64, 64};
    const std::size_t check = checks[std::to_integer<std::size_t>(xz[7]) & 15U];
    std::uint32_t words = 0;
    std::memcpy(&words, xz.data() + xz.size() - 8, sizeof words);
    const std::uint64_t index = (std::uint64_t{words} + 1) * 4;
    if (index > xz.size() - 2 * footer_bytes) return {};
    xz_size blocks(xz.subspan(footer_bytes, xz.size() - 2 * footer_bytes - index));
    while (!blocks.rest_.empty()) {
      if (!blocks.block(check)) return {};
    }
    return blocks.total_;
  }

 private:
  static constexpr std::size_t footer_bytes = 12;     // and the header's
  static constexpr unsigned largest_dictionary = 28;  // the code of 64 MiB, which `xz -9` uses

  explicit xz_size(std::span<const std::byte> blocks) noexcept : rest_(blocks) {}

  bool skip(std::uint64_t bytes) noexcept {
    if (bytes > rest_.size()) return false;
    rest_ = rest_.subspan(bytes);
    return true;
  }
  std::optional<unsigned> byte() noexcept {
    if (rest_.empty()) return {};
    const auto value = std::to_integer<unsigned>(rest_.front());
    rest_ = rest_.subspan(1);
    return value;
  }
  std::optional<unsigned> two_bytes() noexcept {
    const auto high = byte();
    const auto low = byte();
    return low ? std::optional(*high << 8U | *low) : std::nullopt;
  }
  std::optional<std::uint64_t> number() noexcept {
    std::uint64_t value = 0;
    for (unsigned shift = 0; shift < 63; shift += 7) {
      const auto next = byte();
      if (!next) return {};
      value |= std::uint64_t{*next & 0x7fU} << shift;
      if ((*next & 0x80U) == 0) return value;
    }
    return {};
  }

  bool block(std::size_t check) noexcept {
    const std::size_t end_after = rest_.size();
    const auto header = byte();
    if (!header || *header == 0) return false;
    const std::size_t header_bytes = (std::size_t{*header} + 1) * 4;
    if (!is_by_lzma2() || end_after - rest_.size() > header_bytes ||
        !skip(header_bytes - (end_after - rest_.size()))) {
      return false;
    }
    if (!chunks()) return false;
    return skip((4 - (end_after - rest_.size()) % 4) % 4) && skip(check);
  }

  // The rest of a block's header. Filters before LZMA2, the last one, keep the size.
  bool is_by_lzma2() noexcept {
    constexpr unsigned lzma2 = 0x21;
    const auto flags = byte();
    if (!flags || ((*flags & 0x40U) != 0 && !number()) || ((*flags & 0x80U) != 0 && !number())) {
      return false;
    }
    for (unsigned filters = (*flags & 3U) + 1; filters > 1; --filters) {
      const auto id = number();
      const auto bytes = number();
      if (!bytes || *id >= lzma2 || !skip(*bytes)) return false;
    }
    const auto id = number();
    const auto bytes = number();
    const auto dictionary = byte();
    return dictionary && *id == lzma2 && *bytes == 1 && *dictionary <= largest_dictionary;
  }

  bool chunks() noexcept {
    while (const auto control = byte()) {
      if (*control == 0) return true;
      const auto size = two_bytes();
      if (!size) return false;
      if (*control <= 2) {  // stored
        total_ += *size + 1;
        if (!skip(*size + 1)) return false;
        continue;
      }
      const auto packed = two_bytes();
      const bool has_properties = *control >= 0xc0;
      if (*control < 0x80 || !packed || !skip(*packed + 1 + (has_properties ? 1 : 0))) return false;
      total_ += ((*control & 0x1fU) << 16U) + *size + 1;
    }
    return false;
  }

  std::span<const std::byte> rest_;
  std::uint64_t total_ = 0;
};

template <class = void>
class basic_no_minidebuginfo {
 public:
  static sys::vector<std::byte> unpack(const byte_source&, const elf&, std::string&, int&) {
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
