// SPDX-License-Identifier: Apache-2.0
//
// The place of a loaded module's dynamic symbols in memory, for modules whose file is gone, or is
// another build's by now. The symbols by which the loader binds are always there; functions that
// the module does not export are not.
//
//   PT_DYNAMIC:   DT_SYMTAB | DT_STRTAB | DT_STRSZ | DT_HASH or DT_GNU_HASH   (no count of symbols)
//   DT_HASH:      | buckets | chains = symbols | ...
//   DT_GNU_HASH:  | buckets | first symbol | filter words | shift | filter | buckets | chains |
//                 a chain ends with an odd hash; the last symbol is at the end of the last chain
//
// Every address is checked against the module's bounds, and the kernel reads the memory, since it
// may be unmapped. (gABI, "Dynamic Section"; DT_GNU_HASH: glibc, elf/dl-lookup.c)
#ifndef WHENCE_SYMBOLS_DYNAMIC_SYMBOLS_HPP
#define WHENCE_SYMBOLS_DYNAMIC_SYMBOLS_HPP

#include <elf.h>
#include <link.h>

#include <array>
#include <cstddef>
#include <cstdint>

#include <whence/symbols/byte_source.hpp>
#include <whence/symbols/symbol_table.hpp>
#include <whence/sys/algorithms.hpp>

namespace whence::inline v1::symbols {

template <class = void>
class basic_dynamic_symbols {
 public:
  // `memory`: the module from its first to its last segment, which begins at `start`; `dynamic`:
  // the place of the dynamic section in it. `bias`: from the file's addresses to the process's.
  basic_dynamic_symbols(const byte_source& memory, std::uintptr_t start, std::uintptr_t bias,
                        std::uint64_t dynamic)
      : memory_(memory), start_(start), bias_(bias) {
    std::uint64_t hash = 0, gnu_hash = 0, entry_bytes = sizeof(ElfW(Sym));
    for (std::uint64_t i = 0; i < most_entries; ++i) {
      ElfW(Dyn) d;
      if (!memory_.read_value(dynamic + i * sizeof d, d) || d.d_tag == DT_NULL) break;
      if (d.d_tag == DT_SYMTAB) where_.symbols = offset(d.d_un.d_ptr);
      if (d.d_tag == DT_STRTAB) where_.names = offset(d.d_un.d_ptr);
      if (d.d_tag == DT_STRSZ) where_.name_bytes = d.d_un.d_val;
      if (d.d_tag == DT_SYMENT) entry_bytes = d.d_un.d_val;
      if (d.d_tag == DT_HASH) hash = offset(d.d_un.d_ptr);
      if (d.d_tag == DT_GNU_HASH) gnu_hash = offset(d.d_un.d_ptr);
    }
    if (where_.symbols == 0 || where_.names == 0 || entry_bytes != sizeof(ElfW(Sym))) return;
    where_.count = gnu_hash != 0 ? count_of_gnu(gnu_hash) : hash != 0 ? count_of(hash) : 0;
  }

  // A place in `memory`; count is 0 if the module has no symbols.
  const symbol_table::place& where() const noexcept { return where_; }

 private:
  static constexpr std::uint64_t most_entries = 1024;
  static constexpr std::uint64_t most_symbols = std::uint64_t{1} << 24;

  // glibc turns some of the offsets into addresses; 0 if it is outside of the module.
  std::uint64_t offset(std::uint64_t address) const noexcept {
    const std::uint64_t at =
        address >= start_ && bias_ != 0 ? address - start_ : address + bias_ - start_;
    return at < memory_.size() ? at : 0;
  }

  std::uint64_t count_of(std::uint64_t hash) const {
    std::uint32_t symbols = 0;
    return memory_.read_value(hash + 4, symbols) ? sys::least<std::uint64_t>(symbols, most_symbols)
                                                 : 0;
  }

  std::uint64_t count_of_gnu(std::uint64_t hash) const {
    std::array<std::uint32_t, 4> header;
    if (!memory_.read_value(hash, header)) return 0;
    const auto [buckets, first, filter_words, shift] = header;
    const std::uint64_t begin = hash + sizeof header + filter_words * sizeof(ElfW(Addr));
    const std::uint64_t chains = begin + std::uint64_t{buckets} * 4;
    std::uint64_t last = 0;
    each_word(begin, buckets, [&last](std::uint32_t symbol) {
      last = sys::most<std::uint64_t>(last, symbol);
      return true;
    });
    if (last < first) return first;  // no symbol is exported
    each_word(chains + (last - first) * 4, most_symbols, [&last](std::uint32_t word) {
      ++last;
      return (word & 1) == 0;
    });
    return sys::least(last, most_symbols);
  }

  // Visits `count` words, as far as they are in memory, until visit returns false.
  template <class Visit>
  void each_word(std::uint64_t at, std::uint64_t count, Visit visit) const {
    std::array<std::uint32_t, 1024> some;
    while (count > 0 && at < memory_.size()) {
      const std::uint64_t left = sys::least(count, (memory_.size() - at) / sizeof some[0]);
      const auto n = static_cast<std::size_t>(sys::least<std::uint64_t>(left, some.size()));
      if (n == 0 || !memory_.read(at, std::as_writable_bytes(std::span(some.data(), n)))) return;
      for (std::size_t i = 0; i < n; ++i) {
        if (!visit(some[i])) return;
      }
      at += n * sizeof some[0];
      count -= n;
    }
  }

  const byte_source& memory_;
  std::uintptr_t start_;
  std::uintptr_t bias_;
  symbol_table::place where_{};
};
using dynamic_symbols = basic_dynamic_symbols<>;

}  // namespace whence::inline v1::symbols

#endif  // WHENCE_SYMBOLS_DYNAMIC_SYMBOLS_HPP
