// SPDX-License-Identifier: Apache-2.0
//
// What <whence/malloc.hpp> does before the module's other constructors: it finds the allocator
// below, and makes itself known if the process calls its malloc. The program may have a malloc of
// its own, which the dynamic linker then takes for all modules, ours included: the address that the
// name has here is in another module then.
#ifndef WHENCE_INSTRUMENTS_MALLOC_START_HPP
#define WHENCE_INSTRUMENTS_MALLOC_START_HPP

#include <dlfcn.h>
#include <elf.h>
#include <link.h>
#include <stdlib.h>

#include <cstddef>

#include <whence/instruments/malloc_samples.hpp>
#include <whence/instruments/next_malloc.hpp>
#include <whence/instruments/next_operators.hpp>
#include <whence/instruments/program_heap.hpp>
#include <whence/sys/early_environment.hpp>

namespace whence::inline v1::instruments {

[[gnu::visibility("hidden")]] inline bool is_malloc_called() noexcept {
  void* (*volatile called)(std::size_t) = &::malloc;
  Dl_info module{};
  const ElfW(Sym)* symbol = nullptr;
  if (::dladdr1(reinterpret_cast<const void*>(called), &module,
                reinterpret_cast<void**>(const_cast<ElfW(Sym)**>(&symbol)), RTLD_DL_SYMENT) == 0) {
    return true;
  }
  // A program that is not position-independent may have given the name an address of its own, of a
  // jump to the first definition.
  if (symbol != nullptr && symbol->st_shndx == SHN_UNDEF) return true;
  return module.dli_fbase == module_of(&next);
}

template <layer L>
[[gnu::visibility("hidden")]] void report_malloc() noexcept {
  layer_state<L>::below.store(reinterpret_cast<const void*>(next.malloc), sys::relaxed);
  join_program<L>();
}

// Runs twice in a program: before its libraries' constructors, and after those calls that make its
// reading code ready.
[[gnu::visibility("hidden")]] inline void start_malloc() noexcept {
  here.hot_words_change.store(&change_entries, sys::release);
  find_next_malloc();
  find_next_operators();
  if (!is_malloc_called()) {
    report_malloc<layer::shadowed_malloc>();
  } else if (only_passes.load(sys::relaxed)) {
    report_malloc<layer::passing_malloc>();
  } else {
    report_malloc<layer::malloc>();
  }
}

[[gnu::constructor(101), gnu::used]] static void start_malloc_early() noexcept {
  start_malloc();
}
#if !defined(__PIC__) || defined(__PIE__)
[[gnu::visibility("hidden")]] inline void start_program_malloc(int, char**,
                                                               char** variables) noexcept {
  sys::use_early_environment(variables);
  start_malloc();
}
[[gnu::section(".preinit_array"),
  gnu::used]] static void (*const start_malloc_first)(int, char**, char**) = &start_program_malloc;
#endif

}  // namespace whence::inline v1::instruments

#endif  // WHENCE_INSTRUMENTS_MALLOC_START_HPP
