// SPDX-License-Identifier: Apache-2.0
//
// Unpacks .gnu_debugdata through libdw, which opens a file packed by xz like any other: so only
// libdw links liblzma.
#ifndef WHENCE_SYMBOLS_LIBDW_MINIDEBUGINFO_HPP
#define WHENCE_SYMBOLS_LIBDW_MINIDEBUGINFO_HPP

#include <elfutils/libdwelf.h>
#include <libelf.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>

#include <whence/symbols/byte_source.hpp>
#include <whence/symbols/descriptor.hpp>
#include <whence/symbols/elf.hpp>
#include <whence/symbols/minidebuginfo.hpp>
#include <whence/sys/cancel_guard.hpp>
#include <whence/sys/errno_guard.hpp>
#include <whence/sys/vector.hpp>

namespace whence::inline v1::symbols {

template <class = void>
class basic_libdw_minidebuginfo {
 public:
  // Throws: std::bad_alloc.
  static sys::vector<std::byte> unpack(const byte_source& source, const elf& file, std::string& why,
                                       int& error) {
    const sys::errno_guard keep;
    const elf::section* const section = file.find(".gnu_debugdata");
    if (section == nullptr) return {};
    const sys::vector<std::byte> packed = elf::content(source, *section);
    const auto size = xz_size::of(packed);
    if (!size || *size > largest) {
      why = "the section .gnu_debugdata is damaged";
      return {};
    }
    const sys::cancel_guard uncancelled;
    const descriptor file_of_it = descriptor::in_memory();
    if (file_of_it.get() < 0) {
      error = file_of_it.error();
      return {};
    }
    sys::vector<std::byte> plain;
    errno = 0;
    if (!write_whole(file_of_it.get(), packed)) {
      error = errno != 0 ? errno : ENOSPC;
    } else {
      plain = unpacked(file_of_it.get(), *size);
      // The decompressor gives no reason, but allocators leave theirs.
      if (plain.empty() && errno == ENOMEM) error = ENOMEM;
    }
    if (plain.empty()) why = "the section .gnu_debugdata cannot be unpacked";
    return plain;
  }

 private:
  static constexpr std::uint64_t largest = std::uint64_t{64} << 20;

  static bool write_whole(int descriptor, const sys::vector<std::byte>& bytes) noexcept {
    for (std::size_t at = 0; at < bytes.size();) {
      const ssize_t n = ::write(descriptor, bytes.data() + at, bytes.size() - at);
      if (n <= 0) return false;
      at += static_cast<std::size_t>(n);
    }
    return true;
  }

  static sys::vector<std::byte> unpacked(int descriptor, std::uint64_t size) {
    sys::vector<std::byte> plain;
    plain.reserve(size);  // so that nothing throws while the file is open
    ::elf_version(EV_CURRENT);
    ::Elf* const opened = ::dwelf_elf_begin(descriptor);
    if (opened == nullptr) return plain;
    std::size_t length = 0;
    const char* const bytes = ::elf_rawfile(opened, &length);
    if (bytes != nullptr && length <= size) {
      plain.resize(length);
      std::memcpy(plain.data(), bytes, length);
    }
    ::elf_end(opened);
    return plain;
  }
};
using libdw_minidebuginfo = basic_libdw_minidebuginfo<>;

}  // namespace whence::inline v1::symbols

#endif  // WHENCE_SYMBOLS_LIBDW_MINIDEBUGINFO_HPP
