// SPDX-License-Identifier: Apache-2.0
//
// The comments of the heap profile that say what part of the process's memory it shows:
//
//   tracked 25165824 of 41943040 bytes in use by malloc (60 %), as it was 12 s ago
//   mapped 215040000 bytes, resident 63963136
//   malloc is that of /lib/x86_64-linux-gnu/libc.so.6
//   seen: operator new, and what instruments track; not malloc itself, nor mmap
//
// What is tracked is an estimate, and counts what was asked for; malloc counts its own rounding,
// too. Not for signal handlers.
#ifndef WHENCE_SNAPSHOTS_MEMORY_COMMENTS_HPP
#define WHENCE_SNAPSHOTS_MEMORY_COMMENTS_HPP

#include <fcntl.h>
#include <link.h>
#include <malloc.h>
#include <stdlib.h>
#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include <whence/core/counters.hpp>
#include <whence/core/profile.hpp>
#include <whence/instruments/sized_block.hpp>
#include <whence/state/process_state.hpp>
#include <whence/sys/loader.hpp>
#include <whence/tables/bucket.hpp>

// Weak, since a program that is linked statically with an allocator of its own has none.
// NOLINTNEXTLINE(readability-redundant-declaration)
extern "C" [[gnu::weak]] struct mallinfo2 mallinfo2() noexcept;

namespace whence::inline v1::snapshots {

// Variables, because the address of a function of another module in code may be that of a jump.
struct [[gnu::visibility("hidden")]] allocator_functions {
  using malloc_function = void*(std::size_t);
  using info_function = struct mallinfo2();
  static inline constinit malloc_function* malloc = &::malloc;
  static inline constinit info_function* info = &::mallinfo2;
};

struct module_of_code {
  std::uintptr_t base = 0;
  std::string file;  // empty: the program's own, or not known
  bool found = false;
};

inline module_of_code find_module_of(std::uintptr_t address) {
  module_of_code result;
  if (address == 0) return result;
  const char* file = nullptr;
  sys::for_each_module([&](const dl_phdr_info& module) {
    for (int i = 0; i < module.dlpi_phnum; ++i) {
      const ElfW(Phdr)& part = module.dlpi_phdr[i];
      if (part.p_type != PT_LOAD || address - module.dlpi_addr - part.p_vaddr >= part.p_memsz) {
        continue;
      }
      result.found = true;
      result.base = module.dlpi_addr;
      file = module.dlpi_name;
      return true;
    }
    return false;
  });
  if (file != nullptr) result.file = file;
  return result;
}

// -1 if it does not know.
inline std::int64_t in_use_by_mallinfo() noexcept {
  const struct mallinfo2 now = allocator_functions::info();
  const auto sum = static_cast<std::int64_t>(now.uordblks + now.hblkhd);
  return sum > 0 ? sum : -1;  // under valgrind, which replaces malloc, it is always zero
}

// Bytes in use that the profile shows.
inline std::int64_t tracked_bytes(const profile& heap) noexcept {
  std::int64_t sum = 0;
  heap.rows().for_each([&sum](const tables::bucket& b) { sum += core::read_heap(b).in_use.bytes; });
  return sum;
}

// The first two numbers of /proc/self/statm in bytes; empty if it cannot be read.
inline std::string mapped_and_resident() {
  char text[128];
  const int file = ::open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
  if (file < 0) return {};
  const ::ssize_t size = ::read(file, text, sizeof text - 1);
  ::close(file);
  if (size <= 0) return {};
  text[size] = '\0';
  char* next = text;
  const auto page = static_cast<unsigned long long>(::sysconf(_SC_PAGESIZE));
  const unsigned long long mapped = ::strtoull(next, &next, 10) * page;
  const unsigned long long resident = ::strtoull(next, &next, 10) * page;
  return "mapped " + std::to_string(mapped) + " bytes, resident " + std::to_string(resident);
}

inline const char* what_is_seen(const state::sized_heap& sized) noexcept {
  using instruments::layer;
  if (sized.has(layer::malloc)) return "seen: malloc and operator new; not mmap";
  if (sized.has(layer::passing_malloc)) {
    return "seen: what instruments track; malloc is a sanitizer's, and calls are only passed on";
  }
  if (sized.has(layer::shadowed_malloc)) {
    return "seen: what instruments track; malloc is the program's own, so malloc.hpp is not called";
  }
  if (sized.has(layer::operators)) {
    return "seen: operator new, and what instruments track; not malloc itself, nor mmap";
  }
  return "seen: what instruments track; not operator new, malloc or mmap";
}

inline std::string tracked_of(std::int64_t tracked, const state::malloc_use::answer& all) {
  std::string line = "tracked " + std::to_string(tracked);
  if (all.bytes < 0) return line + " bytes in use; malloc does not say how many it has";
  line += " of " + std::to_string(all.bytes) + " bytes in use by malloc";
  if (all.bytes > 0) {
    line += " (" +
            std::to_string(static_cast<int>(100.0 * static_cast<double>(tracked) /
                                            static_cast<double>(all.bytes))) +
            " %)";
  }
  return line + ", as it was " + std::to_string(all.age_ns / 1'000'000'000) + " s ago";
}

inline void add_memory_comments(std::vector<std::string>& lines, const state::process_state& s) {
  const void* below = s.sized.below.load(std::memory_order_relaxed);
  if (below == nullptr) below = reinterpret_cast<const void*>(allocator_functions::malloc);
  const module_of_code allocator = find_module_of(reinterpret_cast<std::uintptr_t>(below));
  state::malloc_use::answer all;
  if (allocator_functions::info != nullptr) {
    const module_of_code info =
        find_module_of(reinterpret_cast<std::uintptr_t>(allocator_functions::info));
    if (info.found && allocator.found && info.base == allocator.base) {
      all = s.in_malloc.get(&in_use_by_mallinfo);
    }
  }
  lines.push_back(tracked_of(tracked_bytes(s.of(instruments::kind::heap)), all));
  if (std::string line = mapped_and_resident(); !line.empty()) lines.push_back(std::move(line));
  lines.push_back(allocator.file.empty() ? std::string("malloc is the program's own")
                                         : "malloc is that of " + allocator.file);
  lines.emplace_back(what_is_seen(s.sized));
}

}  // namespace whence::inline v1::snapshots

#endif  // WHENCE_SNAPSHOTS_MEMORY_COMMENTS_HPP
