// SPDX-License-Identifier: Apache-2.0
//
// Compressed sections of debug information, in two forms with the same verb: by zlib, or by libelf,
// which allocates the whole section (glibc's malloc then keeps other memory for longer) but may
// know zstd.
//
//   SHF_COMPRESSED:  | Elf64_Chdr | a stream |        .zdebug_*:  | "ZLIB" | size, 8 | streams |
#ifndef WHENCE_SYMBOLS_DECOMPRESS_HPP
#define WHENCE_SYMBOLS_DECOMPRESS_HPP

#include <whence/config.hpp>

#include <elf.h>
#include <libelf.h>

#include <array>
#include <cerrno>
#include <cstddef>
#include <cstring>
#include <new>
#include <span>
#include <type_traits>

#include <whence/sys/errno_guard.hpp>
#include <whence/sys/mapped_array.hpp>
#include <whence/sys/throw_or_abort.hpp>

namespace whence::inline v1::symbols {

template <class = void>
class basic_libelf_decompress {
 public:
  // Decompresses a stored section. False if it is damaged, or its size is not that of `to`. Throws:
  // std::bad_alloc.
  static bool section(std::span<const std::byte> stored, bool gnu, std::span<std::byte> to) {
    // libelf decompresses only sections of files, so a file is made around it for a moment.
    constexpr std::size_t longest_name = 16;
    constexpr std::size_t begin = sizeof(Elf64_Ehdr) + 3 * sizeof(Elf64_Shdr) + 2 * longest_name;
    sys::mapped_array<std::byte> whole;
    whole.resize_untouched(begin + stored.size());
    std::memcpy(whole.data() + begin, stored.data(), stored.size());
    Elf64_Ehdr ehdr{};
    std::memcpy(ehdr.e_ident, ELFMAG, SELFMAG);
    ehdr.e_ident[EI_CLASS] = ELFCLASS64;
    ehdr.e_ident[EI_DATA] = ELFDATA2LSB;
    ehdr.e_ident[EI_VERSION] = EV_CURRENT;
    ehdr.e_type = ET_EXEC;
    ehdr.e_version = EV_CURRENT;
    ehdr.e_ehsize = sizeof ehdr;
    ehdr.e_shoff = sizeof ehdr;
    ehdr.e_shentsize = sizeof(Elf64_Shdr);
    ehdr.e_shnum = 3;
    ehdr.e_shstrndx = 2;
    std::memcpy(whole.data(), &ehdr, sizeof ehdr);
    std::array<Elf64_Shdr, 3> headers{};
    headers[1].sh_name = longest_name;
    headers[1].sh_type = SHT_PROGBITS;
    headers[1].sh_flags = gnu ? 0 : SHF_COMPRESSED;
    headers[1].sh_offset = begin;
    headers[1].sh_size = stored.size();
    headers[1].sh_addralign = 8;
    headers[2].sh_type = SHT_STRTAB;
    headers[2].sh_offset = sizeof ehdr + sizeof headers;
    headers[2].sh_size = 2 * longest_name;
    headers[2].sh_addralign = 1;
    std::memcpy(whole.data() + sizeof ehdr, &headers, sizeof headers);
    const char* const name = gnu ? ".zdebug_info" : ".debug_info";
    std::memcpy(whole.data() + headers[2].sh_offset + longest_name, name, std::strlen(name));

    ::elf_version(EV_CURRENT);
    const sys::errno_guard keep;
    errno = 0;
    ::Elf* const elf = ::elf_memory(reinterpret_cast<char*>(whole.data()), whole.size());
    ::Elf_Scn* const scn = elf == nullptr ? nullptr : ::elf_getscn(elf, 1);
    const int done = scn == nullptr ? -1
                     : gnu          ? ::elf_compress_gnu(scn, 0, 0)
                                    : ::elf_compress(scn, 0, 0);
    const ::Elf_Data* const data = done == 1 ? ::elf_getdata(scn, nullptr) : nullptr;
    const bool right = data != nullptr && data->d_buf != nullptr && data->d_size == to.size();
    if (right) std::memcpy(to.data(), data->d_buf, to.size());
    const bool lacks_memory = !right && errno == ENOMEM;
    if (elf != nullptr) ::elf_end(elf);
    if (lacks_memory) sys::throw_or_abort<std::bad_alloc>();
    return right;
  }
};
using libelf_decompress = basic_libelf_decompress<>;

template <class>
class basic_zlib_decompress;
using zlib_decompress = basic_zlib_decompress<void>;

using default_decompress =
    std::conditional_t<config::with_zlib, zlib_decompress, libelf_decompress>;

}  // namespace whence::inline v1::symbols

#if WHENCE_WITH_ZLIB

#include <zlib.h>

#include <climits>

namespace whence::inline v1::symbols {

template <class = void>
class basic_zlib_decompress {
 public:
  // The same as libelf_decompress does.
  static bool section(std::span<const std::byte> stored, bool gnu, std::span<std::byte> to) {
    const std::size_t header = gnu ? 12 : sizeof(Elf64_Chdr);
    if (stored.size() < header) return false;
    stored = stored.subspan(header);
    ::z_stream stream{};
    const int begun = ::inflateInit(&stream);
    if (begun == Z_MEM_ERROR) sys::throw_or_abort<std::bad_alloc>();
    if (begun != Z_OK) return false;
    // zlib only reads the bytes; whether the pointer is to const depends on the program's
    // ZLIB_CONST.
    stream.next_in = reinterpret_cast<Bytef*>(const_cast<std::byte*>(stored.data()));
    stream.next_out = reinterpret_cast<Bytef*>(to.data());
    const auto* const in_end = reinterpret_cast<const Bytef*>(stored.data() + stored.size());
    const auto* const out_end = reinterpret_cast<const Bytef*>(to.data() + to.size());
    int status = Z_OK;
    while (stream.next_out != out_end && status == Z_OK) {
      stream.avail_in = piece(stream.next_in, in_end);
      stream.avail_out = piece(stream.next_out, out_end);
      status = ::inflate(&stream, Z_NO_FLUSH);
      // Assemblers write several streams, one after another.
      if (status == Z_STREAM_END && stream.next_out != out_end) status = ::inflateReset(&stream);
    }
    const bool whole = stream.next_out == out_end;
    ::inflateEnd(&stream);
    if (status == Z_MEM_ERROR) sys::throw_or_abort<std::bad_alloc>();
    return whole;
  }

 private:
  static uInt piece(const Bytef* from, const Bytef* to) noexcept {
    const auto left = static_cast<std::size_t>(to - from);
    return left > UINT_MAX ? UINT_MAX : static_cast<uInt>(left);
  }
};

}  // namespace whence::inline v1::symbols

#endif  // WHENCE_WITH_ZLIB

#endif  // WHENCE_SYMBOLS_DECOMPRESS_HPP
