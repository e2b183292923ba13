// SPDX-License-Identifier: Apache-2.0
//
// Reads the numbers of .eh_frame one after the other: fixed widths, LEB128 (DWARF 5 section 7.6)
// and the encoded pointers of the LSB (Linux Standard Base Core 5.0, section 10.5.1):
//
//   encoding byte:  | 1 indirect | 3 relative to | 4 format |        0xff: no pointer at all
//
// Invariant: never reads outside its bytes. Past their end every number is 0 and ok() stays false,
// so a reader checks once, at its end. Signal-safe. Never allocates.
#ifndef WHENCE_UNWIND_CFI_BYTE_CURSOR_HPP
#define WHENCE_UNWIND_CFI_BYTE_CURSOR_HPP

#include <cstddef>
#include <cstdint>
#include <cstring>

namespace whence::inline v1::unwind {

namespace encoding {
inline constexpr std::uint8_t absolute = 0x00;  // formats
inline constexpr std::uint8_t uleb = 0x01;
inline constexpr std::uint8_t unsigned_2 = 0x02;
inline constexpr std::uint8_t unsigned_4 = 0x03;
inline constexpr std::uint8_t unsigned_8 = 0x04;
inline constexpr std::uint8_t sleb = 0x09;
inline constexpr std::uint8_t signed_2 = 0x0a;
inline constexpr std::uint8_t signed_4 = 0x0b;
inline constexpr std::uint8_t signed_8 = 0x0c;
inline constexpr std::uint8_t format_bits = 0x0f;
inline constexpr std::uint8_t to_self = 0x10;  // relative to the pointer's own address
inline constexpr std::uint8_t to_data = 0x30;  // relative to .eh_frame_hdr
inline constexpr std::uint8_t aligned = 0x50;
inline constexpr std::uint8_t relation_bits = 0x70;
inline constexpr std::uint8_t omitted = 0xff;
}  // namespace encoding

class byte_cursor {
 public:
  constexpr byte_cursor() noexcept = default;

  // `address`: where begin[0] is in the process, or was before it was copied.
  byte_cursor(const std::byte* begin, std::size_t size, std::uintptr_t address) noexcept
      : at_(begin), end_(begin + size), shift_(address - reinterpret_cast<std::uintptr_t>(begin)) {}

  bool ok() const noexcept { return ok_; }
  bool at_end() const noexcept { return at_ == end_; }
  std::size_t left() const noexcept { return static_cast<std::size_t>(end_ - at_); }
  const std::byte* position() const noexcept { return at_; }
  std::uintptr_t address() const noexcept { return reinterpret_cast<std::uintptr_t>(at_) + shift_; }

  template <class T>
  T fixed() noexcept {
    T value{};
    if (left() < sizeof value) {
      fail();
    } else {
      std::memcpy(&value, at_, sizeof value);
      at_ += sizeof value;
    }
    return value;
  }

  std::uint8_t byte() noexcept { return fixed<std::uint8_t>(); }

  std::uint64_t uleb() noexcept {
    std::uint64_t value = 0;
    for (unsigned shift = 0; !at_end(); shift += 7) {
      const auto b = std::to_integer<std::uint64_t>(*at_++);
      if (shift < 64) value |= (b & 0x7f) << shift;
      if ((b & 0x80) == 0) return value;
    }
    fail();
    return 0;
  }

  std::int64_t sleb() noexcept {
    std::uint64_t value = 0;
    for (unsigned shift = 0; !at_end();) {
      const auto b = std::to_integer<std::uint64_t>(*at_++);
      if (shift < 64) value |= (b & 0x7f) << shift;
      shift += 7;
      if ((b & 0x80) != 0) continue;
      if ((b & 0x40) != 0 && shift < 64) value |= ~std::uint64_t{0} << shift;
      return static_cast<std::int64_t>(value);
    }
    fail();
    return 0;
  }

  // The next `size` bytes as a cursor of their own.
  byte_cursor take(std::uint64_t size) noexcept {
    if (size > left()) {
      fail();
      return {};
    }
    byte_cursor part(at_, static_cast<std::size_t>(size), address());
    at_ += size;
    return part;
  }

  void skip(std::uint64_t size) noexcept { take(size); }

  // Returns 0, and ok() is false, if the encoding does not exist. An indirect pointer is not
  // followed.
  std::uintptr_t pointer(std::uint8_t how, std::uintptr_t data = 0) noexcept {
    if (how == encoding::omitted) return 0;
    const std::uintptr_t self = address();
    std::uintptr_t value = 0;
    switch (how & encoding::format_bits) {
      case encoding::absolute:
        value = fixed<std::uintptr_t>();
        break;
      case encoding::uleb:
        value = static_cast<std::uintptr_t>(uleb());
        break;
      case encoding::unsigned_2:
        value = fixed<std::uint16_t>();
        break;
      case encoding::unsigned_4:
        value = fixed<std::uint32_t>();
        break;
      case encoding::unsigned_8:
        value = static_cast<std::uintptr_t>(fixed<std::uint64_t>());
        break;
      case encoding::sleb:
        value = static_cast<std::uintptr_t>(sleb());
        break;
      case encoding::signed_2:
        value = static_cast<std::uintptr_t>(fixed<std::int16_t>());
        break;
      case encoding::signed_4:
        value = static_cast<std::uintptr_t>(fixed<std::int32_t>());
        break;
      case encoding::signed_8:
        value = static_cast<std::uintptr_t>(fixed<std::int64_t>());
        break;
      default:
        fail();
    }
    switch (how & encoding::relation_bits) {
      case 0:
        return value;
      case encoding::to_self:
        return self + value;
      case encoding::to_data:
        return data + value;
      default:
        fail();
        return 0;
    }
  }

 private:
  void fail() noexcept {
    ok_ = false;
    at_ = end_;
  }

  const std::byte* at_ = nullptr;
  const std::byte* end_ = nullptr;
  std::uintptr_t shift_ = 0;
  bool ok_ = true;
};

}  // namespace whence::inline v1::unwind

#endif  // WHENCE_UNWIND_CFI_BYTE_CURSOR_HPP
