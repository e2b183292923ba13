// SPDX-License-Identifier: Apache-2.0
//
// Notes by which the modules of a process (the executable, its plugins) find each other's copy of
// this library, whatever their visibility flags: symbols cannot be relied on to meet.
//
//   note: | 8 | 8 | layout | name, 8 bytes | object - here, 8 bytes |          in a PT_NOTE segment
//
// Such a note is static data: it can be read before its module is relocated. Reads only what is
// mapped. Not for signal handlers: notes are read while the loader's list is walked.
#ifndef WHENCE_SYS_ELF_NOTE_HPP
#define WHENCE_SYS_ELF_NOTE_HPP

#include <elf.h>
#include <link.h>

#include <cstddef>
#include <cstdint>

// The lines of an object's note. "aGR": one copy of each group a module, and no linker drops it as
// unused (retain).
#define WHENCE_STRINGIZE_AGAIN(x) #x
#define WHENCE_STRINGIZE(x) WHENCE_STRINGIZE_AGAIN(x)
#define WHENCE_NOTE_LINES(name, layout, percent, object, group) \
  ".pushsection .note.whence,\"aGR\"," percent "note," group "_note,comdat\n"        \
  ".balign 4\n"                                                                       \
  ".long 8, 8, " WHENCE_STRINGIZE(layout) "\n"                                        \
  ".asciz \"" name "\"\n"                                                             \
  ".quad " object " - .\n"                                                            \
  ".popsection"

// Emits the note of an object by its assembler name, at namespace scope.
#define WHENCE_ELF_NOTE(name, layout, object) \
  asm(WHENCE_NOTE_LINES(name, layout, "%", object, name))

// The same in a function, by the object's address: the note exists only if the function is emitted.
#define WHENCE_ELF_NOTE_WITH_FUNCTION(name, layout, address) \
  asm volatile(WHENCE_NOTE_LINES(name, layout, "%%", "%c0", name)::WHENCE_ADDRESS_OPERAND(address))

// The same for one of several objects with notes of that name.
#define WHENCE_ELF_NOTE_OF_EACH(name, layout, address) \
  asm volatile(WHENCE_NOTE_LINES(name, layout, "%%", "%c0", "%c0")::WHENCE_ADDRESS_OPERAND(address))

// The operand constraint for an address that the linker knows (AArch64 calls it "S").
#if defined(__aarch64__)
#define WHENCE_ADDRESS_OPERAND(address) "S"(address)
#else
#define WHENCE_ADDRESS_OPERAND(address) "i"(address)
#endif

namespace whence::inline v1::sys {

// True if the segment is in memory: its bytes may be read while the walk lasts.
inline bool is_mapped(const dl_phdr_info& module, const ElfW(Phdr) & segment) noexcept {
  for (int i = 0; i < module.dlpi_phnum; ++i) {
    const ElfW(Phdr)& load = module.dlpi_phdr[i];
    if (load.p_type == PT_LOAD && (load.p_flags & PF_R) != 0 && segment.p_vaddr >= load.p_vaddr &&
        segment.p_vaddr + segment.p_memsz <= load.p_vaddr + load.p_memsz) {
      return true;
    }
  }
  return false;
}

struct elf_note {
  std::uintptr_t object = 0;  // 0: the module has no such note
  std::uint32_t layout = 0;
};

// Calls visit(elf_note) for each note of that name in the segment, until it returns true.
template <class Visit>
bool for_each_note(const char (&name)[8], std::uintptr_t at, std::size_t size,
                   Visit visit) noexcept {
  const auto padded = [](std::uintptr_t n) { return (n + 3) & ~std::uintptr_t{3}; };
  const std::uintptr_t end = at + size;
  while (end - at >= sizeof(ElfW(Nhdr))) {
    ElfW(Nhdr) header;
    __builtin_memcpy(&header, reinterpret_cast<const void*>(at), sizeof header);
    const std::uintptr_t owner = at + sizeof header;
    const std::uintptr_t content = owner + padded(header.n_namesz);
    const std::uintptr_t next = content + padded(header.n_descsz);
    if (next > end || next <= at) break;
    if (header.n_namesz == 8 && header.n_descsz == 8 &&
        __builtin_memcmp(reinterpret_cast<const void*>(owner), name, 8) == 0) {
      std::int64_t distance = 0;
      __builtin_memcpy(&distance, reinterpret_cast<const void*>(content), sizeof distance);
      if (visit(elf_note{content + static_cast<std::uintptr_t>(distance), header.n_type})) {
        return true;
      }
    }
    at = next;
  }
  return false;
}

// The same for each in the module.
template <class Visit>
bool for_each_note(const char (&name)[8], const dl_phdr_info& module, Visit visit) noexcept {
  for (int i = 0; i < module.dlpi_phnum; ++i) {
    const ElfW(Phdr)& segment = module.dlpi_phdr[i];
    if (segment.p_type != PT_NOTE || !is_mapped(module, segment)) continue;
    if (for_each_note(name, module.dlpi_addr + segment.p_vaddr, segment.p_memsz, visit)) {
      return true;
    }
  }
  return false;
}

// The first note of that name, in the arguments that say what for_each_note walks.
template <class... Walked>
elf_note find_note(const char (&name)[8], const Walked&... walked) noexcept {
  elf_note first;
  for_each_note(name, walked..., [&first](const elf_note& note) {
    first = note;
    return true;
  });
  return first;
}

}  // namespace whence::inline v1::sys

#endif  // WHENCE_SYS_ELF_NOTE_HPP
