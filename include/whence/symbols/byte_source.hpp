// SPDX-License-Identifier: Apache-2.0
//
// Where an ELF file's bytes come from: a file, read piece by piece (a mapped one would raise SIGBUS
// when somebody truncates it), or memory (the vDSO). A read past the end fails, and changes
// nothing.
#ifndef WHENCE_SYMBOLS_BYTE_SOURCE_HPP
#define WHENCE_SYMBOLS_BYTE_SOURCE_HPP

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <type_traits>
#include <vector>

#include <whence/sys/no_cancel.hpp>

namespace whence::inline v1::symbols {

class byte_source {
 public:
  static constexpr std::uint64_t longest_piece = std::uint64_t{1} << 30;

  byte_source() = default;
  byte_source(const byte_source&) = delete;
  byte_source& operator=(const byte_source&) = delete;
  virtual ~byte_source() = default;

  virtual std::uint64_t size() const noexcept = 0;

  bool read(std::uint64_t offset, std::span<std::byte> to) const {
    return offset <= size() && to.size() <= size() - offset && read_within(offset, to);
  }

  template <class T>
  requires std::is_trivially_copyable_v<T>
  bool read_value(std::uint64_t offset, T& value) const {
    return read(offset, std::as_writable_bytes(std::span(&value, 1)));
  }

  // Empty where there are not so many bytes, or more than any table of names has: what a damaged
  // header asks for may be the size of a sparse file.
  std::vector<std::byte> piece(std::uint64_t offset, std::uint64_t length) const {
    std::vector<std::byte> bytes;
    if (length > longest_piece || offset > size() || length > size() - offset) return bytes;
    bytes.resize(length);
    if (!read(offset, bytes)) bytes.clear();
    return bytes;
  }

 private:
  virtual bool read_within(std::uint64_t offset, std::span<std::byte> to) const = 0;
};

class memory_source final : public byte_source {
 public:
  explicit memory_source(std::span<const std::byte> bytes) : bytes_(bytes) {}
  std::uint64_t size() const noexcept override { return bytes_.size(); }

 private:
  bool read_within(std::uint64_t offset, std::span<std::byte> to) const override {
    if (!to.empty()) std::memcpy(to.data(), bytes_.data() + offset, to.size());
    return true;
  }

  std::span<const std::byte> bytes_;
};

// A regular file; of size 0 where it cannot be opened.
class file_source final : public byte_source {
 public:
  explicit file_source(const char* path)
      : descriptor_(::open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)) {
    struct ::stat status {};
    if (descriptor_ >= 0 && ::fstat(descriptor_, &status) == 0 && S_ISREG(status.st_mode)) {
      size_ = static_cast<std::uint64_t>(status.st_size);
    }
  }
  ~file_source() override {
    const sys::no_cancel uncancelled;
    if (descriptor_ >= 0) ::close(descriptor_);
  }
  std::uint64_t size() const noexcept override { return size_; }
  int descriptor() const noexcept { return descriptor_; }

 private:
  bool read_within(std::uint64_t offset, std::span<std::byte> to) const override {
    while (!to.empty()) {
      const ssize_t n = ::pread(descriptor_, to.data(), to.size(), static_cast<off_t>(offset));
      if (n < 0 && errno == EINTR) continue;
      if (n <= 0) return false;
      to = to.subspan(static_cast<std::size_t>(n));
      offset += static_cast<std::uint64_t>(n);
    }
    return true;
  }

  int descriptor_;
  std::uint64_t size_ = 0;
};

}  // namespace whence::inline v1::symbols

#endif  // WHENCE_SYMBOLS_BYTE_SOURCE_HPP
