// SPDX-License-Identifier: Apache-2.0
//
// The bytes of an ELF file: from a file, read piece by piece (a mapped one would raise SIGBUS if it
// is truncated), from memory (the vDSO), or from memory that may be unmapped (a loaded module). A
// read past the end fails, and changes nothing.
#ifndef WHENCE_SYMBOLS_BYTE_SOURCE_HPP
#define WHENCE_SYMBOLS_BYTE_SOURCE_HPP

#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <type_traits>

#include <whence/symbols/descriptor.hpp>
#include <whence/sys/errno_guard.hpp>
#include <whence/sys/safe_read.hpp>
#include <whence/sys/vector.hpp>

namespace whence::inline v1::symbols {

template <class = void>
class basic_byte_source {
 public:
  // The limit for what is read in one piece: notes, names of sections, section headers.
  static constexpr std::uint64_t longest_piece = std::uint64_t{1} << 24;

  basic_byte_source() = default;
  basic_byte_source(const basic_byte_source&) = delete;
  basic_byte_source& operator=(const basic_byte_source&) = delete;
  virtual ~basic_byte_source() = default;

  virtual std::uint64_t size() const noexcept = 0;

  // errno of the first failure of the system, or 0: what was read until then need not be all.
  virtual int error() const noexcept { return 0; }

  bool read(std::uint64_t offset, std::span<std::byte> to) const {
    return offset <= size() && to.size() <= size() - offset && read_within(offset, to);
  }

  template <class T>
  requires std::is_trivially_copyable_v<T>
  bool read_value(std::uint64_t offset, T& value) const {
    return read(offset, std::as_writable_bytes(std::span(&value, 1)));
  }

  // Empty if the source has fewer bytes, or a piece may not have so many: a damaged header may ask
  // for the size of a sparse file.
  sys::vector<std::byte> piece(std::uint64_t offset, std::uint64_t length) const {
    sys::vector<std::byte> bytes;
    if (length > longest_piece || offset > size() || length > size() - offset) return bytes;
    bytes.resize(length);
    if (!read(offset, bytes)) bytes.clear();
    return bytes;
  }

 private:
  virtual bool read_within(std::uint64_t offset, std::span<std::byte> to) const = 0;
};
using byte_source = basic_byte_source<>;

template <class = void>
class basic_memory_source final : public byte_source {
 public:
  explicit basic_memory_source(std::span<const std::byte> bytes) : bytes_(bytes) {}
  std::uint64_t size() const noexcept override { return bytes_.size(); }

 private:
  bool read_within(std::uint64_t offset, std::span<std::byte> to) const override {
    if (!to.empty()) std::memcpy(to.data(), bytes_.data() + offset, to.size());
    return true;
  }

  std::span<const std::byte> bytes_;
};
using memory_source = basic_memory_source<>;

// Memory of this process, which another thread may unmap.
template <class = void>
class basic_process_source final : public byte_source {
 public:
  basic_process_source(std::uintptr_t start, std::uint64_t bytes) : start_(start), size_(bytes) {}
  std::uint64_t size() const noexcept override { return size_; }

 private:
  bool read_within(std::uint64_t offset, std::span<std::byte> to) const override {
    return to.empty() || sys::copy_memory(to.data(), start_ + offset, to.size());
  }

  std::uintptr_t start_;
  std::uint64_t size_;
};
using process_source = basic_process_source<>;

// A regular file; its size is 0 if it cannot be opened.
template <class = void>
class basic_file_source final : public byte_source {
 public:
  explicit basic_file_source(const char* path) : file_(path), error_(file_.error()) {
    if (file_.get() < 0) return;
    const sys::errno_guard keep;
    if (::fstat(file_.get(), &status_) != 0) {
      error_ = errno;
      return;
    }
    if (S_ISREG(status_.st_mode)) size_ = static_cast<std::uint64_t>(status_.st_size);
  }
  std::uint64_t size() const noexcept override { return size_; }

  int descriptor() const noexcept { return file_.get(); }
  int error() const noexcept override { return error_; }
  const struct ::stat& status() const noexcept { return status_; }

 private:
  bool read_within(std::uint64_t offset, std::span<std::byte> to) const override {
    while (!to.empty()) {
      const ssize_t n = ::pread(file_.get(), to.data(), to.size(), static_cast<off_t>(offset));
      if (n < 0 && errno == EINTR) continue;
      if (n < 0 && error_ == 0) error_ = errno;
      if (n <= 0) return false;
      to = to.subspan(static_cast<std::size_t>(n));
      offset += static_cast<std::uint64_t>(n);
    }
    return true;
  }

  symbols::descriptor file_;
  struct ::stat status_ {};
  mutable int error_;
  std::uint64_t size_ = 0;
};
using file_source = basic_file_source<>;

}  // namespace whence::inline v1::symbols

#endif  // WHENCE_SYMBOLS_BYTE_SOURCE_HPP
