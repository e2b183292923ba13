// SPDX-License-Identifier: Apache-2.0
//
// Writes the protobuf wire format into one growing buffer.
//
//   field  = varint(tag << 3 | wire) payload
//   wire 0 = varint: 7 bits a byte, least significant first, the top bit set on all but the last
//   wire 2 = varint(length) bytes: strings, messages, packed repeated numbers
//
// A length is known only after its payload is written: one byte is reserved for it, and the payload
// is moved if the length needs more. A number of 0 is the default and is left out. Throws:
// std::bad_alloc.
#ifndef WHENCE_FORMAT_PROTOBUF_HPP
#define WHENCE_FORMAT_PROTOBUF_HPP

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string_view>
#include <utility>

#include <whence/sys/owner.hpp>

namespace whence::inline v1::format {

template <class = void>
class basic_protobuf {
 public:
  std::span<const std::byte> bytes() const noexcept { return {begin_.get(), size_}; }
  void clear() noexcept { size_ = 0; }

  void uint64(int tag, std::uint64_t value) {
    if (value == 0) return;
    reserve(2 * longest_varint);
    put_varint(static_cast<unsigned>(tag) << 3);
    put_varint(value);
  }
  void int64(int tag, std::int64_t value) { uint64(tag, static_cast<std::uint64_t>(value)); }
  void boolean(int tag, bool value) { uint64(tag, value ? 1 : 0); }

  // Writes an element of a repeated field, so it is written even if it is empty.
  void string(int tag, std::string_view text) {
    reserve(2 * longest_varint + text.size());
    put_varint(static_cast<unsigned>(tag) << 3 | 2);
    put_varint(text.size());
    if (!text.empty()) std::memcpy(begin_.get() + size_, text.data(), text.size());
    size_ += text.size();
  }

  // A repeated number; number(element) is the value written for an element. Zeros are written too.
  template <class Range, class F>
  void packed(int tag, const Range& range, F&& number) {
    if (std::size(range) == 0) return;
    const std::size_t payload = open(tag, std::size(range) * longest_varint);
    for (const auto& element : range) {
      put_varint(static_cast<std::uint64_t>(number(element)));
    }
    close(payload);
  }
  template <class Range>
  void packed(int tag, const Range& range) {
    packed(tag, range, [](auto value) { return value; });
  }

  // `fill` writes the fields of the message.
  template <class F>
  void message(int tag, F&& fill) {
    const std::size_t payload = open(tag, 0);
    fill();
    close(payload);
  }

 private:
  static constexpr std::size_t longest_varint = 10;

  void put_varint(std::uint64_t value) noexcept {
    std::byte* at = begin_.get() + size_;
    while (value >= 0x80) {
      *at++ = static_cast<std::byte>(value | 0x80);
      value >>= 7;
    }
    *at++ = static_cast<std::byte>(value);
    size_ = static_cast<std::size_t>(at - begin_.get());
  }

  std::size_t open(int tag, std::size_t room) {
    reserve(2 * longest_varint + room);
    put_varint(static_cast<unsigned>(tag) << 3 | 2);
    return ++size_;
  }

  void close(std::size_t payload) {
    const std::size_t length = size_ - payload;
    if (length >= 0x80) {
      reserve(longest_varint);
      std::size_t more = 0;
      for (std::size_t rest = length >> 7; rest != 0; rest >>= 7) ++more;
      std::memmove(begin_.get() + payload + more, begin_.get() + payload, length);
      size_ = payload - 1;
      put_varint(length);
      size_ += length;
    } else {
      begin_[payload - 1] = static_cast<std::byte>(length);
    }
  }

  void reserve(std::size_t more) {
    if (capacity_ - size_ < more) grow(more);
  }

  [[gnu::noinline, gnu::cold]] void grow(std::size_t more) {
    std::size_t capacity = capacity_ == 0 ? 1024 : 2 * capacity_;
    while (capacity - size_ < more) capacity *= 2;
    // Plain new: make_unique would clear memory that is overwritten at once.
    sys::owner<std::byte[]> larger(new std::byte[capacity]);
    if (size_ != 0) std::memcpy(larger.get(), begin_.get(), size_);
    begin_ = std::move(larger);
    capacity_ = capacity;
  }

  sys::owner<std::byte[]> begin_;
  std::size_t size_ = 0;
  std::size_t capacity_ = 0;
};
using protobuf = basic_protobuf<>;

}  // namespace whence::inline v1::format

#endif  // WHENCE_FORMAT_PROTOBUF_HPP
