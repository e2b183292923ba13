// SPDX-License-Identifier: Apache-2.0
//
// One root for a process, however many modules (the executable, its plugins) carry a copy of this
// library, and whatever their visibility flags: symbols cannot be relied on to meet, so each module
// says where its copy is in an ELF note, and the first one in link-map order is everybody's.
//
//   note: | 8 | 8 | layout | "whence1\0" | root - here, 8 bytes |          in a PT_NOTE segment
//
// The loader keeps its lists locked while they are walked, so a module cannot leave meanwhile.
// Thread-safe. Not for signal handlers.
#ifndef WHENCE_SYS_ONCE_ROOT_HPP
#define WHENCE_SYS_ONCE_ROOT_HPP

#include <dlfcn.h>
#include <elf.h>
#include <link.h>

#include <cstddef>
#include <cstdint>
#include <cstring>

#include <whence/sys/loader.hpp>

// Bumped whenever the root's layout changes: modules that disagree do not share.
#define WHENCE_ROOT_LAYOUT 9
#define WHENCE_STRINGIZE_AGAIN(x) #x
#define WHENCE_STRINGIZE(x) WHENCE_STRINGIZE_AGAIN(x)

// "aGR": one copy a module (group), and no linker drops it as unused (retain).
asm(".pushsection .note.whence,\"aGR\",%note,whence_root_note_v1,comdat\n"
    ".balign 4\n"
    ".long 8, 8, " WHENCE_STRINGIZE(WHENCE_ROOT_LAYOUT) "\n"
    ".asciz \"whence1\"\n"
    ".quad whence_root_v1 - .\n"
    ".popsection");

namespace whence::inline v1::sys {

inline constexpr std::uint32_t root_layout = WHENCE_ROOT_LAYOUT;

#undef WHENCE_ROOT_LAYOUT
#undef WHENCE_STRINGIZE
#undef WHENCE_STRINGIZE_AGAIN

// The root that a segment of notes tells of; 0 where it does not.
inline std::uintptr_t find_root(std::uintptr_t at, std::size_t size) {
  const auto padded = [](std::uintptr_t n) { return (n + 3) & ~std::uintptr_t{3}; };
  const std::uintptr_t end = at + size;
  while (end - at >= sizeof(ElfW(Nhdr))) {
    ElfW(Nhdr) header;
    std::memcpy(&header, reinterpret_cast<const void*>(at), sizeof header);
    const std::uintptr_t name = at + sizeof header;
    const std::uintptr_t content = name + padded(header.n_namesz);
    const std::uintptr_t next = content + padded(header.n_descsz);
    if (next > end || next <= at) return 0;
    if (header.n_type == root_layout && header.n_namesz == 8 && header.n_descsz == 8 &&
        std::memcmp(reinterpret_cast<const void*>(name), "whence1", 8) == 0) {
      std::int64_t distance = 0;
      std::memcpy(&distance, reinterpret_cast<const void*>(content), sizeof distance);
      return content + static_cast<std::uintptr_t>(distance);
    }
    at = next;
  }
  return 0;
}

// Calls visit(root address) for each module's root, in link-map order, until it returns true.
template <class Visit>
void for_each_root(Visit visit) {
  for_each_module([&visit](const dl_phdr_info& module) {
    for (int i = 0; i < module.dlpi_phnum; ++i) {
      const ElfW(Phdr)& segment = module.dlpi_phdr[i];
      if (segment.p_type != PT_NOTE || !is_mapped(module, segment)) continue;
      const std::uintptr_t root = find_root(module.dlpi_addr + segment.p_vaddr, segment.p_memsz);
      if (root != 0 && visit(reinterpret_cast<void*>(root))) return true;
    }
    return false;
  });
}

// Keeps the plugin that holds the root loaded for good. Only a plugin's own code can be the first
// to need that, and only there is dlopen sure to be more than a linker's warning (static programs).
inline void pin([[maybe_unused]] const void* root) {
#if defined(__PIC__) && !defined(__PIE__)
  Dl_info where{};
  link_map* module = nullptr;
  if (::dladdr1(root, &where, reinterpret_cast<void**>(&module), RTLD_DL_LINKMAP) == 0) return;
  if (module == nullptr || *module->l_name == '\0') return;  // the executable
  ::dlopen(module->l_name, RTLD_LAZY | RTLD_NOLOAD | RTLD_NODELETE);
#endif
}

}  // namespace whence::inline v1::sys

#endif  // WHENCE_SYS_ONCE_ROOT_HPP
