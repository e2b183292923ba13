// SPDX-License-Identifier: Apache-2.0
//
// The modules that may be unloaded: those that dlopen loaded. Another library may later be loaded
// at the same address, even with the same link_map, so their rules are not filed under addresses
// but under a range of keys that belongs for good to one build of one library, identified by its
// build-id:
//
//   key = address - start + keys      with `keys` from an unmapped part of the address space
//
// The loader tells which module holds an address now (_dl_find_object: glibc 2.35, lock-free, for
// handlers too). A module without a build-id has no keys: its rules are made anew each time.
//
// Stacks are kept with keys for addresses (unloadable_keys.hpp), so records are never removed: they
// keep the names and build-ids of unloaded modules.
//
// Signal-safe. Lock-free. Never allocates from the heap.
#ifndef WHENCE_UNWIND_MODULES_UNLOADABLE_MODULES_HPP
#define WHENCE_UNWIND_MODULES_UNLOADABLE_MODULES_HPP

#include <dlfcn.h>
#include <elf.h>
#include <link.h>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <new>

#include <whence/sys/arena.hpp>
#include <whence/sys/safe_read.hpp>
#include <whence/unwind/cfi/eh_frame.hpp>
#include <whence/unwind/modules/loader_state.hpp>
#include <whence/unwind/modules/module.hpp>
#include <whence/unwind/modules/module_memory.hpp>

namespace whence::inline v1::unwind {

struct plugin {
  static constexpr std::size_t longest_id = 32;

  module where;
  std::uintptr_t bias = 0;        // the process's addresses less the file's
  std::uint64_t keys = 0;         // 0: its rules are not kept
  std::uint32_t id_offset = 0;    // the build-id, from where.start
  std::uint32_t id_bytes = 0;     // 0: no build-id
  std::uint64_t code_offset = 0;  // where.code_start in the file
  unsigned char id[longest_id]{};

  bool holds(std::uintptr_t address) const noexcept {
    return address >= where.start && address < where.end;
  }
  std::uintptr_t key_of(std::uintptr_t address) const noexcept {
    return address - where.start + static_cast<std::uintptr_t>(keys);
  }
};

struct unloadable_record {
  static constexpr std::size_t longest_path = 512;

  plugin it;
  char path[longest_path];  // as the loader knows it; empty if too long
  const unloadable_record* before = nullptr;
};

class unloadable_modules {
 public:
  // Each build of a plugin that is rebuilt and loaded again counts as one more.
  static constexpr std::uint32_t capacity = 8192;

  // Readers treat keys as code addresses; no code is mapped in this range.
  static constexpr std::uint64_t first_key = std::uint64_t{0x1000} << 32;
  static constexpr std::uint64_t key_limit = std::uint64_t{0x2000} << 32;
  static constexpr bool is_plugin_key(std::uint64_t key) noexcept {
    return key >= first_key && key < key_limit;
  }

  constexpr explicit unloadable_modules(sys::arena& arena) noexcept : arena_(arena) {}

  // Called before find(), which is slower without it.
  void find_loader(const dl_phdr_info& executable) noexcept { loader_.find(executable); }

  // Fills `found` with the module that holds `address` now; false if no module does. Its memory is
  // read through `memory`. The record is kept if there is room.
  template <class Memory>
  bool find(std::uintptr_t address, Memory& memory, plugin& found) noexcept {
    // The loader unmaps a module before it stops to name it, so other code may lie at an address
    // for which it is still named. If its file's header is there, the module is. The state is read
    // first: such an address came to the caller after the module was unmapped.
    const distrust_scope<Memory> checks(memory, loader_.may_unload());
    dl_find_object object;
    if (::_dl_find_object(reinterpret_cast<void*>(address), &object) != 0) return false;
    const auto start = reinterpret_cast<std::uintptr_t>(object.dlfo_map_start);
    const auto end = reinterpret_cast<std::uintptr_t>(object.dlfo_map_end);
    const auto header = reinterpret_cast<std::uintptr_t>(object.dlfo_eh_frame);
    const auto is_it = [&](const unloadable_record* known) noexcept {
      const module& was = known->it.where;
      return was.start == start && was.end == end && was.frames.header == header &&
             has_id(known->it, memory);
    };
    // It is mostly the module that was last found near this address.
    std::atomic<const unloadable_record*>& recent =
        recent_[start / sys::page_bytes % recent_places];
    const unloadable_record* known = recent.load(std::memory_order_acquire);
    if (known == nullptr || !is_it(known)) {
      known = newest_.load(std::memory_order_acquire);
      while (known != nullptr && !is_it(known)) known = known->before;
      if (known != nullptr) recent.store(known, std::memory_order_release);
    }
    if (known != nullptr) {
      found = known->it;
      return true;
    }
    found = plugin{};
    found.where.start = start;
    found.where.end = end;
    found.where.frames = {header, start, end};
    if (!read_file_header(found, memory)) return false;
    if (found.id_bytes != 0) keep(found, object.dlfo_link_map, memory);
    return true;
  }

  // Calls visit(const unloadable_record&) for every module that a stack has gone through, loaded or
  // not; the newest first.
  template <class Visit>
  void for_each(Visit visit) const {
    for (const unloadable_record* r = newest_.load(std::memory_order_acquire); r != nullptr;
         r = r->before) {
      visit(*r);
    }
  }

 private:
  static constexpr std::size_t first_page = 4096;

  template <class T, class Memory>
  static bool read(std::uintptr_t address, T& value, Memory& memory) noexcept {
    const std::byte* const bytes = memory.view(address, sizeof value, view_slot::number);
    if (bytes == nullptr) return false;
    std::memcpy(&value, bytes, sizeof value);
    return true;
  }

  template <class Memory>
  static bool has_id(const plugin& p, Memory& memory) noexcept {
    const std::byte* const bytes =
        memory.view(p.where.start + p.id_offset, p.id_bytes, view_slot::number);
    return bytes != nullptr && std::memcmp(bytes, p.id, p.id_bytes) == 0;
  }

  // Only the first page is read: it is always mapped, and linkers put the notes there. False if no
  // file's header is there.
  template <class Memory>
  static bool read_file_header(plugin& p, Memory& memory) noexcept {
    ElfW(Ehdr) file;
    if (!read(p.where.start, file, memory) || std::memcmp(file.e_ident, ELFMAG, SELFMAG) != 0) {
      return false;
    }
    if (file.e_phentsize != sizeof(ElfW(Phdr)) ||
        file.e_phoff + file.e_phnum * sizeof(ElfW(Phdr)) > first_page) {
      return true;
    }
    std::uintptr_t first = ~std::uintptr_t{0};
    for (std::size_t i = 0; i < file.e_phnum; ++i) {
      ElfW(Phdr) segment;
      if (!read(p.where.start + file.e_phoff + i * sizeof segment, segment, memory)) return true;
      // The offsets are from the start: the first segment is loaded there, with its page.
      if (segment.p_type == PT_LOAD && first == ~std::uintptr_t{0}) {
        first = segment.p_vaddr & ~(sys::page_bytes - 1);
        p.bias = p.where.start - first;
      }
      const std::uintptr_t start = p.bias + segment.p_vaddr;
      if (segment.p_type == PT_LOAD && (segment.p_flags & PF_X) != 0) {
        if (p.where.code_end == 0) {
          p.where.code_start = start;
          p.code_offset = segment.p_offset;
        }
        p.where.code_end = start + segment.p_memsz;
      }
      if (segment.p_type == PT_NOTE && p.id_bytes == 0) {
        read_build_id(p, start, segment.p_memsz, segment.p_align == 8 ? 8 : 4, memory);
      }
    }
    return true;
  }

  template <class Memory>
  static void read_build_id(plugin& p, std::uintptr_t at, std::size_t size, std::size_t unit,
                            Memory& memory) noexcept {
    const auto padded = [unit](std::size_t n) { return (n + unit - 1) / unit * unit; };
    const std::uintptr_t page_end = p.where.start + first_page;
    std::uintptr_t end = at + size;
    end = end < page_end ? end : page_end;
    while (at >= p.where.start && at < end && end - at >= sizeof(ElfW(Nhdr)) + 4) {
      struct {
        ElfW(Nhdr) header;
        char name[4];
      } note;
      if (!read(at, note, memory)) return;
      const std::size_t content = padded(sizeof note.header + note.header.n_namesz);
      const std::size_t next = padded(content + note.header.n_descsz);
      if (next > end - at || note.header.n_descsz > next) return;
      if (note.header.n_type == NT_GNU_BUILD_ID && std::memcmp(note.name, "GNU", 4) == 0) {
        const std::size_t bytes = note.header.n_descsz;
        if (bytes == 0 || bytes > plugin::longest_id) return;
        const std::byte* const id = memory.view(at + content, bytes, view_slot::number);
        if (id == nullptr) return;
        std::memcpy(p.id, id, bytes);
        p.id_offset = static_cast<std::uint32_t>(at + content - p.where.start);
        p.id_bytes = static_cast<std::uint32_t>(bytes);
        return;
      }
      at += next;
    }
  }

  template <class Memory>
  void keep(plugin& p, const link_map* map, Memory& memory) noexcept {
    if (size_.load(std::memory_order_relaxed) >= capacity) return;
    const std::uint64_t size =
        (p.where.end - p.where.start + sys::page_bytes) & ~std::uint64_t{sys::page_bytes - 1};
    const std::uint64_t keys = next_key_.fetch_add(size, std::memory_order_relaxed);
    if (keys + size > key_limit) return;
    void* const room = arena_.allocate_always(sizeof(unloadable_record));
    if (room == nullptr) return;
    auto* const record = ::new (room) unloadable_record{p, {}};
    record->it.keys = keys;
    read_path(*record, map, memory);
    size_.fetch_add(1, std::memory_order_relaxed);
    record->before = newest_.load(std::memory_order_relaxed);
    // Release: a thread that finds the record finds it whole.
    while (!newest_.compare_exchange_weak(record->before, record, std::memory_order_release,
                                          std::memory_order_relaxed)) {
    }
    p.keys = keys;
  }

  template <class Memory>
  static void read_path(unloadable_record& record, const link_map* map, Memory& memory) noexcept {
    const char* name = nullptr;
    const auto field = reinterpret_cast<std::uintptr_t>(map) + offsetof(link_map, l_name);
    if (map == nullptr || !read(field, name, memory)) return;
    // Reads byte by byte, because what follows the name may be unreadable.
    for (std::size_t i = 0; i + 1 < unloadable_record::longest_path; ++i) {
      if (!read(reinterpret_cast<std::uintptr_t>(name) + i, record.path[i], memory)) break;
      if (record.path[i] == '\0') return;
    }
    record.path[0] = '\0';
  }

  loader_state loader_;
  sys::arena& arena_;
  static constexpr std::size_t recent_places = 64;

  std::atomic<std::uint64_t> next_key_{first_key};
  std::atomic<const unloadable_record*> newest_{nullptr};
  std::atomic<const unloadable_record*> recent_[recent_places]{};
  std::atomic<std::uint32_t> size_{0};
};

}  // namespace whence::inline v1::unwind

#endif  // WHENCE_UNWIND_MODULES_UNLOADABLE_MODULES_HPP
