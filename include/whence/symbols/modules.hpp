// SPDX-License-Identifier: Apache-2.0
//
// The objects that are loaded now: where their code is, and which build they are. Read under the
// loader's lock, during which the notes and headers stay mapped. Not for signal handlers.
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

#include <whence/symbols/build_id.hpp>
#include <whence/sys/elf_note.hpp>
#include <whence/sys/loader.hpp>
#include <whence/sys/vector.hpp>
#include <whence/unwind/modules/unloadable_modules.hpp>

namespace whence::inline v1::symbols {

struct code_range {
  std::uintptr_t start, limit;
};

// The file that the kernel has mapped, identified as in /proc/self/maps.
struct file_identity {
  std::uint64_t device = 0;
  std::uint64_t inode = 0;  // 0 if unknown

  bool known() const noexcept { return inode != 0; }
  friend bool operator==(const file_identity&, const file_identity&) = default;
};

struct loaded_module {
  std::string path;              // "[vdso]" for the vDSO
  std::string loader_name;       // the name given to dlopen; empty for the program
  std::string build_id;          // hex; empty if it has none
  std::uintptr_t bias = 0;       // from the file's addresses to those that stacks have
  sys::vector<code_range> code;  // executable segments
  std::uintptr_t end = 0;        // of its last segment
  std::uintptr_t start = 0;      // of its first segment
  std::uintptr_t dynamic = 0;    // its dynamic section; 0 if it has none
  std::uintptr_t away = 0;       // stacks have its addresses, plus this
  bool is_program = false;
  file_identity file;

  bool holds(std::uintptr_t pc) const noexcept {
    for (const code_range& r : code) {
      if (pc >= r.start && pc < r.limit) return true;
    }
    return false;
  }

  // True for the same build at the same place.
  bool is(const loaded_module& other) const noexcept {
    if (bias != other.bias || start != other.start || build_id != other.build_id) return false;
    if (!build_id.empty()) return true;
    return loader_name == other.loader_name &&
           (file == other.file || !file.known() || !other.file.known());
  }
};

// Changes whenever a module is loaded or unloaded.
using module_generation = std::pair<unsigned long long, unsigned long long>;

template <class = void>
inline module_generation current_generation() {
  module_generation generation;
  sys::for_each_module([&generation](const dl_phdr_info& module) {
    generation = {module.dlpi_adds, module.dlpi_subs};
    return true;
  });
  return generation;
}

// The file the program was started as, used if nothing better is known: for `ld.so program` it
// names the loader.
template <class = void>
inline std::string started_as() {
  std::array<char, 4096> path;
  const ssize_t length = ::readlink("/proc/thread-self/exe", path.data(), path.size());
  std::string_view name(path.data(), length > 0 ? static_cast<std::size_t>(length) : 0);
  constexpr std::string_view deleted = " (deleted)";
  if (name.ends_with(deleted)) name.remove_suffix(deleted.size());
  if (!name.empty()) return std::string(name);
  const auto* const given = reinterpret_cast<const char*>(::getauxval(AT_EXECFN));
  return given != nullptr ? given : "";
}

// A module that stacks have gone through, from the unwinder's record; it may be unloaded. Its place
// is where the stacks have it: at its keys.
template <class = void>
inline loaded_module module_of(const unwind::unloadable_record& record) {
  const unwind::plugin& p = record.it;
  loaded_module m;
  m.away = static_cast<std::uintptr_t>(p.keys) - p.where.start;
  m.path = m.loader_name = record.path;
  m.build_id = to_hex(std::as_bytes(std::span(p.id, p.id_bytes)));
  m.bias = p.bias + m.away;
  m.code.push_back({p.where.code_start + m.away, p.where.code_end + m.away});
  m.start = p.where.start + m.away;
  m.end = p.where.end + m.away;
  return m;
}

// Requires: the loader's lock is held, so that the module's notes are mapped.
template <class = void>
inline loaded_module module_of(const dl_phdr_info& info) {
  loaded_module m;
  m.bias = info.dlpi_addr;
  m.path = m.loader_name = info.dlpi_name != nullptr ? info.dlpi_name : "";
  m.is_program = reinterpret_cast<std::uintptr_t>(info.dlpi_phdr) == ::getauxval(AT_PHDR);
  m.start = ~std::uintptr_t{0};
  for (const ElfW(Phdr) & segment : std::span(info.dlpi_phdr, info.dlpi_phnum)) {
    const std::uintptr_t start = m.bias + segment.p_vaddr;
    if (segment.p_type == PT_LOAD) {
      if ((segment.p_flags & PF_X) != 0) m.code.push_back({start, start + segment.p_memsz});
      m.end = start + segment.p_memsz;
      if (start < m.start) m.start = start;
    } else if (segment.p_type == PT_DYNAMIC) {
      m.dynamic = start;
    } else if (segment.p_type == PT_NOTE && m.build_id.empty() && sys::is_mapped(info, segment)) {
      m.build_id = find_build_id({reinterpret_cast<const std::byte*>(start), segment.p_memsz},
                                 segment.p_align);
    }
  }
  return m;
}

// True if that build is at that place now. A process may have thousands of modules, so the others
// are not looked at.
template <class = void>
inline bool is_loaded(const loaded_module& m) {
  bool found = false;
  sys::for_each_module([&m, &found](const dl_phdr_info& info) {
    found = info.dlpi_addr == m.bias && module_of(info).is(m);
    return found;
  });
  return found;
}

template <class = void>
inline sys::vector<loaded_module> loaded_modules() {
  sys::vector<loaded_module> modules;
  sys::for_each_module([&modules](const dl_phdr_info& info) {
    modules.push_back(module_of(info));
    return false;
  });
  const std::uintptr_t vdso = ::getauxval(AT_SYSINFO_EHDR);
  bool found = false;
  for (loaded_module& m : modules) {
    if (vdso != 0 && m.holds(vdso)) m.path = "[vdso]";
    found = found || m.is_program;
  }
  // The loader lists the program first.
  if (!found && !modules.empty()) modules.front().is_program = true;
  for (loaded_module& m : modules) {
    if (m.path.empty() && m.is_program) m.path = started_as();
  }
  return modules;
}

}  // namespace whence::inline v1::symbols

#endif  // WHENCE_SYMBOLS_MODULES_HPP
