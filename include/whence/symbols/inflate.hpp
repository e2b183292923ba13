// SPDX-License-Identifier: Apache-2.0
//
// Decompresses a section by zlib, if the program has it, piece by piece into memory that is given
// back. libelf can do it too, but takes the whole section from malloc; freeing such a block makes
// glibc's malloc keep up to twice as much free memory from then on.
#ifndef WHENCE_SYMBOLS_INFLATE_HPP
#define WHENCE_SYMBOLS_INFLATE_HPP

#include <whence/config.hpp>

#include <cstddef>
#include <cstdint>
#include <span>

#include <whence/symbols/byte_source.hpp>
#include <whence/sys/mapped_array.hpp>
#include <whence/sys/sequence.hpp>

#if WHENCE_WITH_ZLIB

#include <zlib.h>

namespace whence::inline v1::symbols {

// Of `stored` bytes at `offset`; false unless they make just as many as `to` has.
inline bool inflate_into(const byte_source& source, std::uint64_t offset, std::uint64_t stored,
                         std::span<std::byte> to) {
  ::z_stream stream{};
  if (::inflateInit(&stream) != Z_OK) return false;
  struct end {
    ::z_stream& of;
    ~end() { ::inflateEnd(&of); }
  } at_end{stream};
  constexpr std::size_t piece = std::size_t{1} << 16;
  sys::mapped_array<std::byte> some;
  some.resize_untouched(piece);
  int state = Z_OK;
  std::size_t done = 0;
  while (stored > 0 && state == Z_OK) {
    const auto n = static_cast<std::size_t>(sys::least<std::uint64_t>(stored, piece));
    if (!source.read(offset, {some.data(), n})) return false;
    offset += n;
    stored -= n;
    stream.next_in = reinterpret_cast<Bytef*>(some.data());
    stream.avail_in = static_cast<uInt>(n);
    do {
      const std::size_t room = sys::least(to.size() - done, std::size_t{1} << 30);
      stream.next_out = reinterpret_cast<Bytef*>(to.data() + done);
      stream.avail_out = static_cast<uInt>(room);
      state = ::inflate(&stream, Z_NO_FLUSH);
      done += room - stream.avail_out;
    } while (state == Z_OK && stream.avail_in > 0 && done < to.size());
  }
  return (state == Z_STREAM_END || state == Z_OK || state == Z_BUF_ERROR) && done == to.size();
}

}  // namespace whence::inline v1::symbols

#else

namespace whence::inline v1::symbols {

inline bool inflate_into(const byte_source&, std::uint64_t, std::uint64_t, std::span<std::byte>) {
  return false;
}

}  // namespace whence::inline v1::symbols

#endif

#endif  // WHENCE_SYMBOLS_INFLATE_HPP
