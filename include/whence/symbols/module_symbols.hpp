// SPDX-License-Identifier: Apache-2.0
//
// The functions of one loaded module, read when they are first asked for: from the module's file,
// its debug file if it was stripped, or memory in the case of the vDSO.
#ifndef WHENCE_SYMBOLS_MODULE_SYMBOLS_HPP
#define WHENCE_SYMBOLS_MODULE_SYMBOLS_HPP

#include <sys/auxv.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <whence/symbols/byte_source.hpp>
#include <whence/symbols/debug_file.hpp>
#include <whence/symbols/elf.hpp>
#include <whence/symbols/lines.hpp>
#include <whence/symbols/minidebuginfo.hpp>
#include <whence/symbols/modules.hpp>
#include <whence/symbols/symbol_table.hpp>

namespace whence::inline v1::symbols {

class module_symbols {
 public:
  explicit module_symbols(loaded_module module) : module_(std::move(module)) {}

  const loaded_module& module() const noexcept { return module_; }

  // By an address of the process; an empty name where no function is known there. Its start is an
  // address of the process too.
  symbol_table::symbol find(std::uintptr_t pc) {
    if (!read_) read();
    symbol_table::symbol s = table_.find(pc - module_.bias);
    s.start += module_.bias;
    s.end += module_.bias;
    return s;
  }

  std::vector<source_line> lines_at(std::uintptr_t pc) {
    if (!read_) read();
    if (file_ == nullptr) return {};
    if (lines_ == nullptr) {
      lines_ = std::make_unique<debug_lines>(
          file_->descriptor(), debug_ != nullptr ? debug_->descriptor() : -1, module_.path);
    }
    return lines_->find(pc - module_.bias);
  }

 private:
  void read() {
    read_ = true;
    if (module_.path == "[vdso]") {
      const std::uintptr_t start = ::getauxval(AT_SYSINFO_EHDR);
      const memory_source source(
          {reinterpret_cast<const std::byte*>(start), whole_pages(module_.end) - start});
      table_.add(source, elf(source));
    } else {
      auto opened = std::make_unique<file_source>(path_to_open().c_str());
      const file_source& source = *opened;
      const elf file(source);
      // Another build in the same place would give wrong names.
      if (file.build_id() == module_.build_id) {
        table_.add(source, file);
        if (file.find(".symtab") == nullptr) {
          debug_ = find_debug_file(module_.path, source, file);
          if (debug_ != nullptr) {
            table_.add(*debug_, elf(*debug_));
          } else {
            std::string why;
            const std::vector<std::byte> more = minidebuginfo::unpack(source, file, why);
            const memory_source unpacked(more);
            table_.add(unpacked, elf(unpacked));
          }
        }
        file_ = std::move(opened);
      }
    }
    table_.sort();
  }

  // The executable is opened by a name that stays right when its file is replaced or removed.
  std::string path_to_open() const {
    return module_.path == executable_path() ? "/proc/thread-self/exe" : module_.path;
  }

  static std::uintptr_t whole_pages(std::uintptr_t end) { return (end + 4095) / 4096 * 4096; }

  loaded_module module_;
  bool read_ = false;
  symbol_table table_;
  std::unique_ptr<file_source> file_;
  std::unique_ptr<file_source> debug_;
  std::unique_ptr<debug_lines> lines_;
};

}  // namespace whence::inline v1::symbols

#endif  // WHENCE_SYMBOLS_MODULE_SYMBOLS_HPP
