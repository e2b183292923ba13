// SPDX-License-Identifier: Apache-2.0
//
// The sections of an ELF file from which lines and scopes are read, in their own memory, as a small
// ELF file that libdw accepts:
//
//   | Ehdr | a null section | section headers | their names | .debug_info | .debug_abbrev | ...
//
// It is a copy, because a mapped file raises SIGBUS if it is truncated; it is one mapping, because
// a mapping is returned to the kernel as a whole. Compressed sections are stored in it
// decompressed, so that this is done once. Sections that have no use here (locations of variables,
// macros, call frames) are not read: they are about a third of what compilers write.
#ifndef WHENCE_SYMBOLS_DEBUG_IMAGE_HPP
#define WHENCE_SYMBOLS_DEBUG_IMAGE_HPP

#include <elf.h>
#include <elfutils/libdw.h>
#include <libelf.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <new>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include <whence/symbols/byte_source.hpp>
#include <whence/symbols/decompress.hpp>
#include <whence/symbols/elf.hpp>
#include <whence/sys/algorithms.hpp>
#include <whence/sys/available_memory.hpp>
#include <whence/sys/errno_guard.hpp>
#include <whence/sys/mapped_array.hpp>
#include <whence/sys/throw_or_abort.hpp>

namespace whence::inline v1::symbols {

// A file by its descriptor, which the caller closes.
template <class = void>
class basic_borrowed_file final : public byte_source {
 public:
  explicit basic_borrowed_file(int descriptor) : descriptor_(descriptor) {
    struct ::stat status {};
    if (descriptor < 0) return;
    const sys::errno_guard keep;
    if (::fstat(descriptor, &status) != 0) {
      error_ = errno;
    } else if (S_ISREG(status.st_mode)) {
      size_ = static_cast<std::uint64_t>(status.st_size);
    }
  }
  std::uint64_t size() const noexcept override { return size_; }
  int error() const noexcept override { return error_; }

 private:
  bool read_within(std::uint64_t offset, std::span<std::byte> to) const override {
    while (!to.empty()) {
      const ssize_t n = ::pread(descriptor_, to.data(), to.size(), static_cast<off_t>(offset));
      if (n < 0 && errno == EINTR) continue;
      if (n < 0 && error_ == 0) error_ = errno;
      if (n <= 0) return false;
      to = to.subspan(static_cast<std::size_t>(n));
      offset += static_cast<std::uint64_t>(n);
    }
    return true;
  }

  int descriptor_;
  mutable int error_ = 0;
  std::uint64_t size_ = 0;
};
using borrowed_file = basic_borrowed_file<>;

enum class debug_section : unsigned char {
  info,
  abbrev,
  line,
  str,
  line_str,
  str_offsets,
  addr,
  ranges,
  rnglists,
  count
};

// A part of a section.
struct section_slice {
  std::uint64_t offset = 0;
  std::uint64_t size = static_cast<std::uint64_t>(-1);  // to the end
};

inline constexpr std::size_t debug_sections = static_cast<std::size_t>(debug_section::count);
using section_slices = std::array<section_slice, debug_sections>;

// One opened view of an image.
template <class = void>
class basic_dwarf_handle {
 public:
  basic_dwarf_handle() = default;
  basic_dwarf_handle(::Elf* elf, ::Dwarf* dwarf) noexcept : elf_(elf), dwarf_(dwarf) {}
  basic_dwarf_handle(basic_dwarf_handle&& other) noexcept
      : elf_(std::exchange(other.elf_, nullptr)), dwarf_(std::exchange(other.dwarf_, nullptr)) {}
  basic_dwarf_handle& operator=(basic_dwarf_handle&& other) noexcept {
    std::swap(elf_, other.elf_);
    std::swap(dwarf_, other.dwarf_);
    return *this;
  }
  ~basic_dwarf_handle() {
    if (dwarf_ != nullptr) ::dwarf_end(dwarf_);
    if (elf_ != nullptr) ::elf_end(elf_);
  }
  ::Dwarf* get() const noexcept { return dwarf_; }
  explicit operator bool() const noexcept { return dwarf_ != nullptr; }

 private:
  ::Elf* elf_ = nullptr;
  ::Dwarf* dwarf_ = nullptr;
};
using dwarf_handle = basic_dwarf_handle<>;

template <class = void>
class basic_debug_image {
 public:
  // Larger images are not read: they would occupy the program's memory meanwhile.
  static constexpr std::uint64_t largest = std::uint64_t{2} << 30;
  static constexpr std::uint64_t unasked = std::uint64_t{16} << 20;

  basic_debug_image() = default;

  // False if the file has no readable .debug_info; `why` then names the fault, or is empty if the
  // section is missing. `split`: the sections of a .dwo or .dwp file. Throws: std::bad_alloc.
  bool read(const byte_source& source, const elf& file, bool split, std::string& why) {
    std::array<found, debug_sections> all{};
    std::uint64_t total = 0;
    lacks_memory_ = false;
    for (std::size_t i = 0; i < debug_sections; ++i) {
      all[i] = look_for(source, file, names[i], split, why);
      // The stored bytes are in memory too while they are decompressed.
      if (all[i].plain > largest - total || all[i].stored > largest) {
        why = "more than 2 GB of debug information";
        return false;
      }
      total += all[i].plain;
    }
    // Small images are read without a check: they are smaller than its error.
    if (total > unasked && total > sys::available_memory().value_or(largest) / 2) {
      lacks_memory_ = true;
      why = "not memory enough for " + std::to_string(total >> 20U) + " MB of debug information";
      return false;
    }
    if (all[0].plain == 0 || all[1].plain == 0) return false;
    lay_out(all, total);
    for (std::size_t i = 0; i < debug_sections; ++i) {
      if (all[i].plain != 0 && !take(source, all[i], contents(i))) {
        why = all[i].zstd ? "the installed libelf reads no zstd sections (elfutils 0.189 does; or "
                            "objcopy --decompress-debug-sections)"
                          : "a section of the debug information cannot be read";
        header(i).sh_size = 0;
        sizes_[i] = 0;
        if (i < 2) return false;
      }
    }
    return true;
  }

  std::size_t size() const noexcept { return bytes_.size(); }
  // True if the last read() failed only for lack of memory: the next one may succeed.
  bool lacks_memory() const noexcept { return lacks_memory_; }

  std::span<const std::byte> section(debug_section which, const section_slices& slices) const {
    const auto i = static_cast<std::size_t>(which);
    if (bytes_.empty()) return {};
    const std::span<const std::byte> whole(bytes_.data() + offsets_[i], sizes_[i]);
    const section_slice& s = slices[i];
    if (s.offset > whole.size()) return {};
    return whole.subspan(s.offset, sys::least(s.size, whole.size() - s.offset));
  }
  std::span<const std::byte> section(debug_section which) const { return section(which, {}); }

  bool holds(const void* p, std::size_t size) const noexcept {
    const auto* const at = static_cast<const std::byte*>(p);
    return at >= bytes_.begin() && at <= bytes_.end() &&
           size <= static_cast<std::size_t>(bytes_.end() - at);
  }

  // A view of some parts; an empty one if libdw refuses it. Throws: std::bad_alloc. libdw notes
  // where the sections are when it opens a view, so the headers may be rewritten for the next one.
  dwarf_handle open(const section_slices& slices) {
    for (std::size_t i = 0; i < debug_sections; ++i) {
      const std::span<const std::byte> part = section(static_cast<debug_section>(i), slices);
      header(i).sh_offset = static_cast<std::uint64_t>(part.data() - bytes_.data());
      header(i).sh_size = part.size();
      if (part.empty()) header(i).sh_offset = 0;
    }
    ::elf_version(EV_CURRENT);
    const sys::errno_guard keep;
    errno = 0;
    ::Elf* const elf = ::elf_memory(reinterpret_cast<char*>(bytes_.data()), bytes_.size());
    ::Dwarf* const dwarf = elf == nullptr ? nullptr : ::dwarf_begin_elf(elf, DWARF_C_READ, nullptr);
    if (dwarf == nullptr) {
      const int error = errno;
      if (elf != nullptr) ::elf_end(elf);
      // Otherwise lack of memory would be taken for damage, which does not pass.
      if (error == ENOMEM) no_memory();
      return {};
    }
    // libdw's own handler ends the process.
    ::dwarf_new_oom_handler(dwarf, &no_memory);
    return {elf, dwarf};
  }

 private:
  static constexpr std::array<const char*, debug_sections> names = {
      ".debug_info",        ".debug_abbrev", ".debug_line",   ".debug_str",     ".debug_line_str",
      ".debug_str_offsets", ".debug_addr",   ".debug_ranges", ".debug_rnglists"};
  static constexpr std::uint32_t compressed_by_zstd = 2;  // ELFCOMPRESS_ZSTD, newer than some elf.h

  [[gnu::noreturn]] static void no_memory() { sys::throw_or_abort<std::bad_alloc>(); }

  static constexpr std::size_t longest_name = 24;
  static constexpr std::size_t headers_at = sizeof(Elf64_Ehdr);
  static constexpr std::size_t names_at = headers_at + (debug_sections + 2) * sizeof(Elf64_Shdr);
  static constexpr std::size_t contents_at = names_at + (debug_sections + 1) * longest_name;

  struct found {
    std::uint64_t offset = 0, stored = 0, plain = 0;
    bool gnu = false, compressed = false, zstd = false;
  };

  static found look_for(const byte_source& source, const elf& file, std::string name, bool split,
                        std::string& why) {
    if (split) name += ".dwo";
    found f;
    const elf::section* s = file.find(name);
    if (s == nullptr) {
      s = file.find(".z" + name.substr(1));
      f.gnu = s != nullptr;
    }
    if (s == nullptr || s->sh_type == SHT_NOBITS || s->sh_offset > source.size() ||
        s->sh_size > source.size() - s->sh_offset) {
      return {};
    }
    f.offset = s->sh_offset;
    f.stored = f.plain = s->sh_size;
    // | "ZLIB" | size, big-endian, 8 | or an Elf64_Chdr
    if (f.gnu) {
      std::array<unsigned char, 12> begin{};
      if (!source.read_value(f.offset, begin) || std::memcmp(begin.data(), "ZLIB", 4) != 0)
        return {};
      f.plain = 0;
      for (std::size_t i = 4; i < begin.size(); ++i) f.plain = f.plain << 8U | begin[i];
    } else if ((s->sh_flags & SHF_COMPRESSED) != 0) {
      Elf64_Chdr begin;
      if (!source.read_value(f.offset, begin)) return {};
      f.plain = begin.ch_size;
      f.compressed = true;
      f.zstd = begin.ch_type == compressed_by_zstd;
    }
    // zlib makes at most 1032 bytes from one; zstd could make more, but compilers' output is far
    // from it.
    if (f.plain / 1032 > f.stored) {
      why = "a compressed section of impossible size";
      return {};
    }
    return f;
  }

  void lay_out(const std::array<found, debug_sections>& all, std::uint64_t total) {
    bytes_.resize(contents_at);
    bytes_.reserve(contents_at + total + debug_sections * 8);
    Elf64_Ehdr ehdr{};
    std::memcpy(ehdr.e_ident, ELFMAG, SELFMAG);
    ehdr.e_ident[EI_CLASS] = ELFCLASS64;
    ehdr.e_ident[EI_DATA] = ELFDATA2LSB;
    ehdr.e_ident[EI_VERSION] = EV_CURRENT;
    ehdr.e_type = ET_EXEC;
#ifdef __x86_64__
    ehdr.e_machine = EM_X86_64;
#else
    ehdr.e_machine = EM_AARCH64;
#endif
    ehdr.e_version = EV_CURRENT;
    ehdr.e_ehsize = sizeof ehdr;
    ehdr.e_shoff = headers_at;
    ehdr.e_shentsize = sizeof(Elf64_Shdr);
    ehdr.e_shnum = debug_sections + 2;
    ehdr.e_shstrndx = debug_sections + 1;
    std::memcpy(bytes_.data(), &ehdr, sizeof ehdr);
    std::uint64_t at = contents_at;
    for (std::size_t i = 0; i < debug_sections; ++i) {
      std::memcpy(bytes_.data() + names_at + (i + 1) * longest_name, names[i],
                  std::strlen(names[i]) + 1);
      header(i).sh_name = static_cast<Elf64_Word>((i + 1) * longest_name);
      header(i).sh_type = SHT_PROGBITS;
      header(i).sh_addralign = 1;
      offsets_[i] = at;
      sizes_[i] = all[i].plain;
      at += (all[i].plain + 7) / 8 * 8;
    }
    Elf64_Shdr& text = header(debug_sections);
    text.sh_type = SHT_STRTAB;
    text.sh_offset = names_at;
    text.sh_size = contents_at - names_at;
    text.sh_addralign = 1;
    bytes_.resize_untouched(at);
  }

  Elf64_Shdr& header(std::size_t i) noexcept {
    return reinterpret_cast<Elf64_Shdr*>(bytes_.data() + headers_at)[i + 1];
  }
  std::span<std::byte> contents(std::size_t i) noexcept {
    return {bytes_.data() + offsets_[i], sizes_[i]};
  }

  static bool take(const byte_source& source, const found& f, std::span<std::byte> to) {
    if (!f.gnu && !f.compressed) return source.read(f.offset, to);
    return decompress(source, f, to);
  }

  static bool decompress(const byte_source& source, const found& f, std::span<std::byte> to) {
    sys::mapped_array<std::byte> stored;
    stored.resize_untouched(f.stored);
    const std::span<std::byte> packed(stored.data(), f.stored);
    if (!source.read(f.offset, packed)) return false;
    if (f.zstd) return libelf_decompress::section(packed, false, to);
    return default_decompress::section(packed, f.gnu, to);
  }

  sys::mapped_array<std::byte> bytes_;
  std::array<std::uint64_t, debug_sections> offsets_{};
  std::array<std::uint64_t, debug_sections> sizes_{};
  bool lacks_memory_ = false;
};
using debug_image = basic_debug_image<>;

}  // namespace whence::inline v1::symbols

#endif  // WHENCE_SYMBOLS_DEBUG_IMAGE_HPP
