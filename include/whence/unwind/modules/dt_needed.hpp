// SPDX-License-Identifier: Apache-2.0
//
// The names of the modules that a module needs, and its own names for those that need it, from its
// dynamic section (gABI, "Dynamic Section"). Read under the loader's lock. Not for signal handlers.
#ifndef WHENCE_UNWIND_MODULES_DT_NEEDED_HPP
#define WHENCE_UNWIND_MODULES_DT_NEEDED_HPP

#include <elf.h>
#include <link.h>

#include <cstddef>
#include <cstdint>

#include <whence/sys/mix64.hpp>
#include <whence/sys/pages.hpp>

namespace whence::inline v1::unwind {

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
    while (*name != '\0') h = sys::mix64(h + static_cast<unsigned char>(*name++) + 1);
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

// The names in a module's dynamic section.
class dynamic_names {
 public:
  explicit dynamic_names(const dl_phdr_info& info) noexcept {
    for (int i = 0; i < info.dlpi_phnum; ++i) {
      if (info.dlpi_phdr[i].p_type == PT_DYNAMIC) {
        entries_ = reinterpret_cast<const ElfW(Dyn)*>(info.dlpi_addr + info.dlpi_phdr[i].p_vaddr);
      }
    }
    each(DT_STRTAB, [&](std::uintptr_t value) {
      // glibc turns it into an address, unless the section is read-only.
      strings_ =
          reinterpret_cast<const char*>(value < info.dlpi_addr ? value + info.dlpi_addr : value);
    });
  }

  void add_needed(name_set& names) const noexcept {
    if (strings_ == nullptr) return;
    each(DT_NEEDED, [&](std::uintptr_t offset) { names.insert(strings_ + offset); });
  }

  // The module is known by DT_SONAME, or by the last part of the path it was loaded from.
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

}  // namespace whence::inline v1::unwind

#endif  // WHENCE_UNWIND_MODULES_DT_NEEDED_HPP
