// SPDX-License-Identifier: Apache-2.0
//
// Identifies the addresses of a captured stack without the unwinder: which lie in executable memory
// (/proc/self/maps), which function an address is in (libgcc, by call-frame information), its name
// (dladdr). For use outside handlers only.
#ifndef WHENCE_TESTS_STRESS_CODE_MAP_HPP
#define WHENCE_TESTS_STRESS_CODE_MAP_HPP

#include <dlfcn.h>
#include <unwind.h>

#include <algorithm>
#include <cinttypes>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <string>
#include <vector>

#include "walkers.hpp"

// The linker's bounds of the program.
extern "C" const char __executable_start, etext;  // NOLINT(bugprone-reserved-identifier)

namespace stress {

// The start of the function that returns to `address`; 0 if it is unknown.
inline std::uintptr_t function_before(std::uintptr_t address) noexcept {
  return reinterpret_cast<std::uintptr_t>(
      _Unwind_FindEnclosingFunction(reinterpret_cast<void*>(address)));
}

// A name if the dynamic symbol table has one, and in any case the offset for addr2line.
inline std::string describe(std::uintptr_t address) {
  Dl_info info{};
  char text[512];
  if (::dladdr(reinterpret_cast<void*>(address), &info) == 0 || info.dli_fname == nullptr) {
    const auto start = reinterpret_cast<std::uintptr_t>(&__executable_start);
    const bool own = address >= start && address < reinterpret_cast<std::uintptr_t>(&etext);
    std::snprintf(text, sizeof text, own ? "the program+0x%" PRIxPTR : "0x%" PRIxPTR,
                  own ? address - start : address);
    return text;
  }
  const char* const slash = std::strrchr(info.dli_fname, '/');
  std::snprintf(text, sizeof text, "%.200s (%.100s+0x%" PRIxPTR ")",
                info.dli_sname != nullptr ? info.dli_sname : "?",
                slash != nullptr ? slash + 1 : info.dli_fname,
                address - reinterpret_cast<std::uintptr_t>(info.dli_fbase));
  return text;
}

class executable_memory {
 public:
  executable_memory() {
    std::FILE* const maps = std::fopen("/proc/self/maps", "r");
    if (maps == nullptr) return;
    char line[4096];
    while (std::fgets(line, sizeof line, maps) != nullptr) {
      memory_range range;
      char rights[5];
      if (std::sscanf(line, "%" SCNxPTR "-%" SCNxPTR " %4s", &range.begin, &range.end, rights) ==
              3 &&
          rights[2] == 'x') {
        ranges_.push_back(range);
      }
    }
    std::fclose(maps);
  }

  bool holds(std::uintptr_t address) const noexcept {
    return std::any_of(ranges_.begin(), ranges_.end(),
                       [&](const memory_range& r) { return r.holds(address); });
  }

 private:
  std::vector<memory_range> ranges_;
};

// The functions at the root of stacks: known for certain, outside any signal, from the frame that
// `first_of_all` returns into.
class root_functions {
 public:
  void learn(const void* first_of_all) {
    static thread_local stack s;
    s.depth = 0;
    walk_by_libgcc(first_of_all, s);
    for (std::size_t i = 0; i < s.depth; ++i) {
      const std::uintptr_t f = function_before(s.pcs[i]);
      if (f != 0 && !holds_function(f)) functions_.push_back(f);
    }
  }

  bool ends(const stack& s) const noexcept {
    if (s.depth == 0) return false;
    return holds_function(function_before(s.pcs[s.depth - 1] + (s.depth == 1 ? 1 : 0)));
  }

  std::size_t size() const noexcept { return functions_.size(); }
  std::string names() const {
    std::string all;
    for (const std::uintptr_t f : functions_) all += (all.empty() ? "" : ", ") + describe(f);
    return all;
  }

 private:
  bool holds_function(std::uintptr_t f) const noexcept {
    return std::find(functions_.begin(), functions_.end(), f) != functions_.end();
  }

  std::vector<std::uintptr_t> functions_;
};

}  // namespace stress

#endif  // WHENCE_TESTS_STRESS_CODE_MAP_HPP
