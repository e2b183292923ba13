// SPDX-License-Identifier: Apache-2.0
//
// Compression between a writer and its sink, in two forms with the same verbs: `zlib_gzip`, which
// needs zlib, and `stored`, which passes plain protobuf on (profile readers accept both).
// config.hpp chooses `default_gzip`.
//
// Level 1: level 6 takes 4-7 times as long and saves a few percent. zlib's state is 268 KB.
#ifndef WHENCE_FORMAT_GZIP_HPP
#define WHENCE_FORMAT_GZIP_HPP

#include <whence/config.hpp>

#include <cstddef>
#include <span>
#include <system_error>
#include <type_traits>

#include <whence/format/sink.hpp>
#include <whence/sys/algorithms.hpp>
#include <whence/sys/owner.hpp>

namespace whence::inline v1::format {

template <class>
class basic_zlib_gzip;
using zlib_gzip = basic_zlib_gzip<void>;

class stored {
 public:
  explicit stored(sink& out) : out_(out) {}
  std::error_code write(std::span<const std::byte> bytes) { return out_.write(bytes); }
  std::error_code finish() { return out_.finish(); }

 private:
  sink& out_;
};

using default_gzip = std::conditional_t<config::with_zlib, zlib_gzip, stored>;

}  // namespace whence::inline v1::format

#if WHENCE_WITH_ZLIB

#include <zlib.h>

#include <climits>

namespace whence::inline v1::format {

template <class = void>
class basic_zlib_gzip {
 public:
  explicit basic_zlib_gzip(sink& out) : out_(out), buffer_(new Bytef[buffer_size]) {
    // 15 + 16 means the largest window, and a gzip header (without time, made on Unix).
    state_ = ::deflateInit2(&stream_, Z_BEST_SPEED, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY);
    rewind();
  }
  ~basic_zlib_gzip() {
    if (state_ == Z_OK) ::deflateEnd(&stream_);
  }
  basic_zlib_gzip(const basic_zlib_gzip&) = delete;
  basic_zlib_gzip& operator=(const basic_zlib_gzip&) = delete;

  std::error_code write(std::span<const std::byte> bytes) {
    while (!bytes.empty()) {
      const std::size_t n = sys::least<std::size_t>(bytes.size(), UINT_MAX);
      // zlib only reads the bytes; whether the pointer is to const depends on the program's
      // ZLIB_CONST.
      stream_.next_in = reinterpret_cast<Bytef*>(const_cast<std::byte*>(bytes.data()));
      stream_.avail_in = static_cast<uInt>(n);
      if (const std::error_code error = run(Z_NO_FLUSH)) return error;
      bytes = bytes.subspan(n);
    }
    return {};
  }

  std::error_code finish() {
    stream_.next_in = nullptr;
    stream_.avail_in = 0;
    if (const std::error_code error = run(Z_FINISH)) return error;
    if (const std::error_code error = drain()) return error;
    return out_.finish();
  }

 private:
  static constexpr std::size_t buffer_size = 16 * 1024;

  // Runs until all input is taken or, with Z_FINISH, all output is made.
  std::error_code run(int flush) {
    if (state_ != Z_OK) return std::make_error_code(std::errc::not_enough_memory);
    for (;;) {
      const int result = ::deflate(&stream_, flush);
      if (result == Z_STREAM_END) return {};
      if (result != Z_OK && result != Z_BUF_ERROR) return make_error_code(std::io_errc::stream);
      if (stream_.avail_out != 0) return {};
      if (const std::error_code error = drain()) return error;
    }
  }

  std::error_code drain() {
    const std::size_t made = buffer_size - stream_.avail_out;
    rewind();
    return out_.write(std::as_bytes(std::span(buffer_.get(), made)));
  }

  void rewind() {
    stream_.next_out = buffer_.get();
    stream_.avail_out = buffer_size;
  }

  sink& out_;
  sys::owner<Bytef[]> buffer_;
  z_stream stream_{};
  int state_;
};

}  // namespace whence::inline v1::format

#endif  // WHENCE_WITH_ZLIB

#endif  // WHENCE_FORMAT_GZIP_HPP
