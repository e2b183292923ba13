// SPDX-License-Identifier: Apache-2.0
//
// The modules that stay as long as the process: the executable, what it needs, what that needs, and
// the vDSO. Found once, under the loader's lock; never changed afterwards, so that a walk reads
// them and their call-frame information without any care. What was loaded by dlopen, and what was
// preloaded, is none of them: see plugins.hpp.
//
// open(): not for signal handlers, thread-safe. All else: signal-safe, lock-free.
#ifndef WHENCE_UNWIND_LASTING_MODULES_HPP
#define WHENCE_UNWIND_LASTING_MODULES_HPP

#include <elf.h>
#include <link.h>
#include <sys/auxv.h>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <new>

#include <whence/sys/arena.hpp>
#include <whence/sys/loader.hpp>
#include <whence/sys/pages.hpp>
#include <whence/sys/spread.hpp>
#include <whence/unwind/eh_frame.hpp>

namespace whence::inline v1::unwind {

// A module in memory. Ranges are half-open.
struct module {
  std::uintptr_t start = 0, end = 0;            // of all its segments
  std::uintptr_t code_start = 0, code_end = 0;  // of its executable ones
  frame_section frames;

  bool holds_code(std::uintptr_t address) const noexcept {
    return address >= code_start && address < code_end;
  }
};

inline module describe(const dl_phdr_info& info) noexcept {
  module m;
  m.start = m.code_start = ~std::uintptr_t{0};
  for (int i = 0; i < info.dlpi_phnum; ++i) {
    const ElfW(Phdr)& segment = info.dlpi_phdr[i];
    const std::uintptr_t start = info.dlpi_addr + segment.p_vaddr;
    const std::uintptr_t end = start + segment.p_memsz;
    if (segment.p_type == PT_GNU_EH_FRAME) m.frames.header = start;
    if (segment.p_type != PT_LOAD) continue;
    m.start = start < m.start ? start : m.start;
    m.end = end > m.end ? end : m.end;
    if ((segment.p_flags & PF_X) == 0) continue;
    m.code_start = start < m.code_start ? start : m.code_start;
    m.code_end = end > m.code_end ? end : m.code_end;
  }
  // Both sections lie in one segment: linkers put the table beside what it indexes.
  for (int i = 0; i < info.dlpi_phnum; ++i) {
    const ElfW(Phdr)& segment = info.dlpi_phdr[i];
    const std::uintptr_t start = info.dlpi_addr + segment.p_vaddr;
    if (segment.p_type == PT_LOAD && (segment.p_flags & PF_R) != 0 &&
        m.frames.header - start < segment.p_filesz) {
      m.frames.begin = start;
      m.frames.end = start + segment.p_filesz;
    }
  }
  if (m.frames.begin == 0) m.frames = {};
  return m;
}

// A set of names, told apart by 64 bits of hash.
class name_set {
 public:
  name_set() noexcept
      : hashes_(static_cast<std::uint64_t*>(sys::map_pages(capacity * sizeof(std::uint64_t)))) {}
  ~name_set() {
    if (hashes_ != nullptr) sys::unmap_pages(hashes_, capacity * sizeof(std::uint64_t));
  }
  name_set(const name_set&) = delete;
  name_set& operator=(const name_set&) = delete;

  void insert(const char* name) noexcept {
    if (hashes_ == nullptr || size_ == capacity / 2) return;
    std::uint64_t& slot = *find(hash(name));
    if (slot == 0) ++size_;
    slot = hash(name);
  }
  bool contains(const char* name) const noexcept {
    return hashes_ != nullptr && *find(hash(name)) != 0;
  }

 private:
  static constexpr std::size_t capacity = 16384;

  static std::uint64_t hash(const char* name) noexcept {
    std::uint64_t h = 0;
    while (*name != '\0') h = sys::spread(h + static_cast<unsigned char>(*name++) + 1);
    return h | 1;
  }
  std::uint64_t* find(std::uint64_t wanted) const noexcept {
    std::size_t i = wanted % capacity;
    while (hashes_[i] != 0 && hashes_[i] != wanted) i = (i + 1) % capacity;
    return hashes_ + i;
  }

  std::uint64_t* hashes_;
  std::size_t size_ = 0;
};

// What a module's dynamic section says of names (gABI, "Dynamic Section").
class dynamic_names {
 public:
  explicit dynamic_names(const dl_phdr_info& info) noexcept {
    for (int i = 0; i < info.dlpi_phnum; ++i) {
      if (info.dlpi_phdr[i].p_type == PT_DYNAMIC) {
        entries_ = reinterpret_cast<const ElfW(Dyn)*>(info.dlpi_addr + info.dlpi_phdr[i].p_vaddr);
      }
    }
    each(DT_STRTAB, [&](std::uintptr_t value) {
      // glibc turns it into an address, but not where the section is read-only.
      strings_ =
          reinterpret_cast<const char*>(value < info.dlpi_addr ? value + info.dlpi_addr : value);
    });
  }

  void add_needed(name_set& names) const noexcept {
    if (strings_ == nullptr) return;
    each(DT_NEEDED, [&](std::uintptr_t offset) { names.insert(strings_ + offset); });
  }

  // By DT_SONAME, or by the last part of the path it was loaded from.
  bool is_in(const name_set& names, const char* path) const noexcept {
    bool found = false;
    if (strings_ != nullptr) {
      each(DT_SONAME, [&](std::uintptr_t offset) { found = names.contains(strings_ + offset); });
    }
    const char* base = path;
    for (const char* c = path; *c != '\0'; ++c) {
      if (*c == '/') base = c + 1;
    }
    return found || names.contains(path) || names.contains(base);
  }

 private:
  template <class Visit>
  void each(ElfW(Sxword) tag, Visit visit) const noexcept {
    for (const ElfW(Dyn)* d = entries_; d != nullptr && d->d_tag != DT_NULL; ++d) {
      if (d->d_tag == tag) visit(static_cast<std::uintptr_t>(d->d_un.d_val));
    }
  }

  const ElfW(Dyn) * entries_ = nullptr;
  const char* strings_ = nullptr;
};

class lasting_modules {
 public:
  constexpr explicit lasting_modules(sys::arena& arena) noexcept : arena_(arena) {}

  // False where the kernel gives no memory. Opening twice does nothing.
  bool open() noexcept {
    if (list_.load(std::memory_order_acquire) != nullptr) return true;
    std::size_t loaded = 0;
    sys::for_each_module([&](const dl_phdr_info&) {
      ++loaded;
      return false;
    });
    void* const memory = arena_.allocate_always(sizeof(list) + loaded * sizeof(module));
    if (memory == nullptr) return false;
    list* const found = ::new (memory) list;

    // Dependencies follow what needs them in the loader's list, so a second round finds few.
    name_set needed;
    for (std::size_t before = loaded; before != found->size && found->size < loaded;) {
      before = found->size;
      bool executable = true;
      sys::for_each_module([&](const dl_phdr_info& info) {
        const module m = describe(info);
        const dynamic_names names(info);
        if (!found->starts(m.start) &&
            (executable || is_vdso(m) || names.is_in(needed, info.dlpi_name))) {
          found->insert(m);
          names.add_needed(needed);
        }
        executable = false;
        return found->size == loaded;
      });
    }
    // Release: whoever sees the list sees its modules. Of two threads the first one's is used.
    const list* expected = nullptr;
    list_.compare_exchange_strong(expected, found, std::memory_order_release,
                                  std::memory_order_relaxed);
    return true;
  }

  // nullptr where the address is in none of them. Requires: open.
  const module* find(std::uintptr_t address) const noexcept {
    return list_.load(std::memory_order_acquire)->find(address);
  }

 private:
  // By address; the modules follow.
  struct list {
    std::size_t size = 0;

    const module* modules() const noexcept { return reinterpret_cast<const module*>(this + 1); }

    const module* find(std::uintptr_t address) const noexcept {
      std::size_t low = 0;
      for (std::size_t count = size; count > 0;) {
        const std::size_t half = count / 2;
        const bool after = modules()[low + half].start <= address;
        low += after ? half + 1 : 0;
        count = after ? count - half - 1 : half;
      }
      return low > 0 && address < modules()[low - 1].end ? modules() + low - 1 : nullptr;
    }

    bool starts(std::uintptr_t start) const noexcept {
      const module* const m = find(start);
      return m != nullptr && m->start == start;
    }

    void insert(const module& m) noexcept {
      auto* const all = reinterpret_cast<module*>(this + 1);
      std::size_t at = size++;
      for (; at > 0 && all[at - 1].start > m.start; --at) ::new (&all[at]) module(all[at - 1]);
      ::new (&all[at]) module(m);
    }
  };

  static bool is_vdso(const module& m) noexcept {
    const std::uintptr_t header = ::getauxval(AT_SYSINFO_EHDR);
    return header != 0 && header >= m.start && header < m.end;
  }

  sys::arena& arena_;
  std::atomic<const list*> list_{nullptr};
};

}  // namespace whence::inline v1::unwind

#endif  // WHENCE_UNWIND_LASTING_MODULES_HPP
