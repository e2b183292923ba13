// SPDX-License-Identifier: Apache-2.0
//
// The modules that stay as long as the process: the executable, what it needs, what that needs, and
// the vDSO. They are found once, under the loader's lock, and never change, so a walk reads them
// and their call-frame information without precautions. Modules that dlopen loaded, or that were
// preloaded, are not among them: see unloadable_modules.hpp.
//
// open(): not for signal handlers, thread-safe. All else: signal-safe, lock-free.
#ifndef WHENCE_UNWIND_MODULES_PERMANENT_MODULES_HPP
#define WHENCE_UNWIND_MODULES_PERMANENT_MODULES_HPP

#include <link.h>
#include <sys/auxv.h>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <new>

#include <whence/sys/arena.hpp>
#include <whence/sys/loader.hpp>
#include <whence/sys/publish_once.hpp>
#include <whence/unwind/cfi/search_table.hpp>
#include <whence/unwind/modules/dt_needed.hpp>
#include <whence/unwind/modules/module.hpp>

namespace whence::inline v1::unwind {

class permanent_modules {
 public:
  constexpr explicit permanent_modules(sys::arena& arena) noexcept : arena_(arena) {}

  // Finds them. False if the kernel gives no memory for the list: a later call tries again. Once
  // they are found, it does nothing.
  bool open() noexcept {
    return sys::publish_once(
               list_, [this] { return find_all(); },
               [this](const list* late) {
                 arena_.take_back(const_cast<list*>(late), late->bytes());
               }) != nullptr;
  }

  bool is_open() const noexcept { return list_.load(std::memory_order_relaxed) != nullptr; }

  // nullptr if the address is in no such module, or if they are not found.
  const module* find(std::uintptr_t address) const noexcept {
    const list* const found = list_.load(std::memory_order_acquire);
    return found == nullptr ? nullptr : found->find(address);
  }

 private:
  // Sorted by address; the modules follow.
  struct list {
    std::size_t size = 0;
    std::size_t capacity = 0;

    static constexpr std::size_t bytes_for(std::size_t modules) noexcept {
      return sizeof(list) + modules * sizeof(module);
    }
    std::size_t bytes() const noexcept { return bytes_for(capacity); }

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

  // nullptr if the kernel gives no memory.
  const list* find_all() noexcept {
    std::size_t loaded = 0;
    sys::for_each_module([&](const dl_phdr_info&) {
      ++loaded;
      return false;
    });
    void* const memory = arena_.allocate_always(list::bytes_for(loaded));
    if (memory == nullptr) return nullptr;
    list* const found = ::new (memory) list;
    found->capacity = loaded;

    // A dependency follows the module that needs it in the loader's list, so a second round finds
    // few.
    name_set needed;
    for (std::size_t before = loaded; before != found->size && found->size < loaded;) {
      before = found->size;
      bool first = true;  // the executable
      sys::for_each_module([&](const dl_phdr_info& info) {
        module m = describe(info);
        const dynamic_names names(info);
        if (!found->starts(m.start) &&
            (first || is_vdso(m) || names.is_in(needed, info.dlpi_name))) {
          if (first && m.frames.header == 0) m.frames = search_table::make(info, arena_);
          found->insert(m);
          names.add_needed(needed);
        }
        first = false;
        return found->size == loaded;
      });
    }
    return found;
  }

  static bool is_vdso(const module& m) noexcept {
    const std::uintptr_t header = ::getauxval(AT_SYSINFO_EHDR);
    return header != 0 && header >= m.start && header < m.end;
  }

  sys::arena& arena_;
  std::atomic<const list*> list_{nullptr};
};

}  // namespace whence::inline v1::unwind

#endif  // WHENCE_UNWIND_MODULES_PERMANENT_MODULES_HPP
