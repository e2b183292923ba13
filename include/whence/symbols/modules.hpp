// SPDX-License-Identifier: Apache-2.0
//
// The objects that are loaded now: where their code is, and which build they are. Read under the
// loader's lock; the notes and headers looked at are mapped as long as it is held.
// Not for signal handlers.
#ifndef WHENCE_SYMBOLS_MODULES_HPP
#define WHENCE_SYMBOLS_MODULES_HPP

#include <elf.h>
#include <link.h>
#include <sys/auxv.h>
#include <unistd.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <whence/symbols/build_id.hpp>
#include <whence/sys/elf_note.hpp>
#include <whence/sys/loader.hpp>
#include <whence/unwind/plugins.hpp>

namespace whence::inline v1::symbols {

struct code_range {
  std::uintptr_t start, limit;
};

struct loaded_module {
  std::string path;              // "[vdso]" for the vDSO; the executable's own path for it
  std::string build_id;          // hex; empty where none
  std::uintptr_t bias = 0;       // from the file's addresses to the process's
  std::vector<code_range> code;  // executable segments
  std::uintptr_t end = 0;        // of its last segment

  bool holds(std::uintptr_t pc) const noexcept {
    for (const code_range& r : code) {
      if (pc >= r.start && pc < r.limit) return true;
    }
    return false;
  }
  friend bool operator==(const loaded_module& a, const loaded_module& b) {
    return a.bias == b.bias && a.path == b.path && a.build_id == b.build_id;
  }
};

// Changes whenever a module is loaded or unloaded.
using module_generation = std::pair<unsigned long long, unsigned long long>;

inline module_generation current_generation() {
  module_generation generation;
  sys::for_each_module([&generation](const dl_phdr_info& module) {
    generation = {module.dlpi_adds, module.dlpi_subs};
    return true;
  });
  return generation;
}

inline std::string executable_path() {
  std::array<char, 4096> path;
  const ssize_t length = ::readlink("/proc/thread-self/exe", path.data(), path.size());
  std::string_view name(path.data(), length > 0 ? static_cast<std::size_t>(length) : 0);
  constexpr std::string_view deleted = " (deleted)";
  if (name.ends_with(deleted)) name.remove_suffix(deleted.size());
  return std::string(name);
}

// A module that stacks have gone through, as the unwinder took note of it; it may be gone.
inline loaded_module module_of(const unwind::plugin_record& record) {
  const unwind::plugin& p = record.it;
  loaded_module m;
  m.path = record.path;
  m.build_id = to_hex(std::as_bytes(std::span(p.id, p.id_bytes)));
  m.bias = p.bias;
  m.code.push_back({p.where.code_start, p.where.code_end});
  m.end = p.where.end;
  return m;
}

inline std::vector<loaded_module> loaded_modules() {
  std::vector<loaded_module> modules;
  sys::for_each_module([&modules](const dl_phdr_info& info) {
    loaded_module& m = modules.emplace_back();
    m.bias = info.dlpi_addr;
    m.path = info.dlpi_name != nullptr ? info.dlpi_name : "";
    for (const ElfW(Phdr) & segment : std::span(info.dlpi_phdr, info.dlpi_phnum)) {
      const std::uintptr_t start = m.bias + segment.p_vaddr;
      if (segment.p_type == PT_LOAD) {
        if ((segment.p_flags & PF_X) != 0) m.code.push_back({start, start + segment.p_memsz});
        m.end = start + segment.p_memsz;
      } else if (segment.p_type == PT_NOTE && m.build_id.empty() && sys::is_mapped(info, segment)) {
        m.build_id = find_build_id({reinterpret_cast<const std::byte*>(start), segment.p_memsz},
                                   segment.p_align);
      }
    }
    return false;
  });
  const std::uintptr_t vdso = ::getauxval(AT_SYSINFO_EHDR);
  for (loaded_module& m : modules) {
    if (vdso != 0 && m.holds(vdso)) m.path = "[vdso]";
    if (m.path.empty()) m.path = executable_path();
  }
  return modules;
}

}  // namespace whence::inline v1::symbols

#endif  // WHENCE_SYMBOLS_MODULES_HPP
