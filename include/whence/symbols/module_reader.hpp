// SPDX-License-Identifier: Apache-2.0
//
// One module while a profile is being written: its functions and lines, read from its file and its
// debug file or, if no file is the module, its exported functions from memory. The object's end
// releases all that was read.
//
// Not for signal handlers. Requires: the caller holds no lock that a fork or the loader waits for.
#ifndef WHENCE_SYMBOLS_MODULE_READER_HPP
#define WHENCE_SYMBOLS_MODULE_READER_HPP

#include <sys/auxv.h>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>

#include <whence/symbols/debug_file.hpp>
#include <whence/symbols/dynamic_symbols.hpp>
#include <whence/symbols/elf.hpp>
#include <whence/symbols/lines.hpp>
#include <whence/symbols/minidebuginfo.hpp>
#include <whence/symbols/module_file.hpp>
#include <whence/symbols/modules.hpp>
#include <whence/symbols/symbol_table.hpp>
#include <whence/sys/mapped_array.hpp>
#include <whence/sys/out_of_memory.hpp>
#include <whence/sys/owner.hpp>
#include <whence/sys/vector.hpp>

namespace whence::inline v1::symbols {

// What is known about a module since its last read.
struct module_facts {
  bool may_change = false;     // a failure may be temporary: a later read may find more
  bool exported_only = false;  // names are those of its dynamic symbols: a stripped module
  std::string reason;          // for people: why something is missing; empty if nothing is
};

template <class = void>
class basic_module_reader {
 public:
  // `loaded`: the module in memory now, with its own addresses; nullptr if it is not loaded.
  basic_module_reader(const loaded_module& m, const mapping* mapped, const loaded_module* loaded)
      : bias_(m.bias) {
    sys::or_if_out_of_memory([&] { read(m, mapped, loaded); },
                             [this] {
                               table_.clear();
                               fail(ENOMEM);
                             });
  }

  // `pc` is an address from a stack; the name is empty if no function is known there.
  symbol_table::symbol find(std::uintptr_t pc) {
    symbol_table::symbol s = table_.find(pc - bias_);
    if (s.name.empty()) note_reads();  // a name is read only now
    s.start += bias_;
    s.end += bias_;
    return s;
  }

  // Innermost inlined frame first; empty if there is no debug information.
  sys::vector<source_line> lines(std::uintptr_t pc) {
    sys::vector<source_line> found;
    if (lines_ == nullptr) return found;
    found = lines_->find(pc - bias_);
    note_lines();  // find() has just searched for the files beside it
    return found;
  }

  const module_facts& facts() const noexcept { return facts_; }

 private:
  void read(const loaded_module& m, const mapping* mapped, const loaded_module* loaded) {
    if (m.path == "[vdso]") {
      read_vdso(m);
    } else {
      read_file(m, mapped);
      // A truncated file may still have its build-id, and nothing else.
      if (table_.empty() && loaded != nullptr) read_memory(*loaded);
    }
    table_.sort();
  }

  void fail(int error) {
    facts_.may_change = true;
    facts_.reason = "could not be read: " + std::generic_category().message(error);
  }

  void read_vdso(const loaded_module& m) {
    constexpr std::uintptr_t in_page = sys::page_bytes - 1;
    const std::uintptr_t start = ::getauxval(AT_SYSINFO_EHDR);
    const std::uintptr_t end = (m.end + in_page) & ~in_page;
    memory_ = sys::make_owned<memory_source>(
        std::span(reinterpret_cast<const std::byte*>(start), end - start));
    table_.add(*memory_, elf(*memory_));
  }

  void read_file(const loaded_module& m, const mapping* mapped) {
    file_ = open_module(m, mapped);
    if (file_.file == nullptr) {
      if (file_.error != 0) return fail(file_.error);
      facts_.reason = file_.refused ? "its file is another build" : "its file is gone";
      return;
    }
    const elf header(*file_.file);
    table_.add(*file_.file, header);
    if (header.find(".symtab") == nullptr || !has_debug_information(header)) {
      debug_ = find_debug_file(file_.path, *file_.file, header);
      if (debug_.file != nullptr) table_.add(*debug_.file, elf(*debug_.file));
      if (debug_.file == nullptr && debug_.error != 0) fail(debug_.error);
    }
    if (header.find(".symtab") == nullptr && debug_.file == nullptr) {
      read_packed(header);
      facts_.exported_only = unpacked_.empty();
    }
    if (read_error() != 0) table_.clear();
    note_reads();
    lines_ = sys::make_owned<debug_lines>(file_.file->descriptor(),
                                          debug_.file != nullptr ? debug_.file->descriptor() : -1,
                                          file_.path);
    has_reason_ = !facts_.reason.empty();
    note_lines();
  }

  // errno if the system failed at a read.
  int read_error() const noexcept {
    const int error = file_.file != nullptr ? file_.file->error() : 0;
    return error != 0 || debug_.file == nullptr ? error : debug_.file->error();
  }
  void note_reads() {
    if (has_reason_ && facts_.may_change) return;
    if (const int error = read_error(); error != 0) {
      fail(error);
      has_reason_ = true;
    }
  }

  void note_lines() {
    if (lines_->may_pass()) facts_.may_change = true;
    if (!has_reason_ && facts_.reason != lines_->missing()) facts_.reason = lines_->missing();
  }

  // Distributions leave the names of functions in a stripped file, packed.
  void read_packed(const elf& header) {
    int error = 0;
    unpacked_ = minidebuginfo::unpack(*file_.file, header, facts_.reason, error);
    if (error != 0) fail(error);
    memory_ = sys::make_owned<memory_source>(unpacked_);
    table_.add(*memory_, elf(*memory_));
  }

  static bool has_debug_information(const elf& header) {
    return header.find(".debug_info") != nullptr || header.find(".zdebug_info") != nullptr;
  }

  void read_memory(const loaded_module& m) {
    if (m.dynamic < m.start || m.end <= m.start) return;
    const process_source all(m.start, m.end - m.start);
    symbol_table::place at = dynamic_symbols(all, m.start, m.bias, m.dynamic - m.start).where();
    const std::uint64_t bytes = at.count * sizeof(ElfW(Sym));
    if (at.count == 0 || at.name_bytes > all.size() || bytes > all.size()) return;
    // Copied at once: the module may be unloaded while names are looked up. The bytes are its own
    // only if it is still loaded afterwards.
    copy_.resize(static_cast<std::size_t>(bytes + at.name_bytes));
    const std::span<std::byte> copy(copy_.data(), copy_.size());
    if (!all.read(at.symbols, copy.first(static_cast<std::size_t>(bytes))) ||
        !all.read(at.names, copy.subspan(static_cast<std::size_t>(bytes))) || !is_loaded(m)) {
      return;
    }
    memory_ = sys::make_owned<memory_source>(copy);
    table_.add(*memory_, {0, at.count, bytes, at.name_bytes});
    facts_.exported_only = true;
    facts_.reason += facts_.reason.empty() ? "" : "; ";
    facts_.reason += "exported functions are named from memory";
    has_reason_ = true;
  }

  std::uintptr_t bias_;
  module_file file_;
  found_debug_file debug_;
  sys::mapped_array<std::byte> copy_;
  sys::vector<std::byte> unpacked_;
  sys::owner<memory_source> memory_;
  symbol_table table_;  // of the sources above
  sys::owner<debug_lines> lines_;
  bool has_reason_ = false;  // the reason is a graver one than missing lines
  module_facts facts_;
};
using module_reader = basic_module_reader<>;

}  // namespace whence::inline v1::symbols

#endif  // WHENCE_SYMBOLS_MODULE_READER_HPP
