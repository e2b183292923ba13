// SPDX-License-Identifier: Apache-2.0
//
// Include this in one source file of a dynamically linked program, or of a library that is
// preloaded into programs. The profiles `heap` and `allocs` then show the memory of the whole
// program, of its libraries too: malloc, calloc, realloc, the aligned forms, strdup, reallocarray,
// and operator new.
//
//   #include <whence/malloc.hpp>                     // in one file, of the program or the library
//
// It defines the functions of malloc's family and the operators new and delete, which the dynamic
// linker then takes for all modules, and calls those that it would take without us: glibc's,
// jemalloc's, tcmalloc's, mimalloc's. What they answer stays as it is: usable sizes, alignment,
// errno, ENOMEM, untouched pages of a large calloc, a realloc without a copy. A sampled block is
// the allocator's own, aligned to a page, so a free that is not seen does no harm.
//
// It is a sample, as of <whence/allocator.hpp>. The default registry's tracking instruments only
// forward beside it, because they would count twice; those of other registries go on.
//
// Limits: what a module gets from a malloc of its own (linked statically, bound by RTLD_DEEPBIND)
// is not seen, nor is mmap. It is not for a program that is linked statically. In a program built
// with a sanitizer it defines nothing; preloaded into one it only passes calls on. It must not be
// linked together with <whence/new_delete.hpp>, whose operators it has.
//
// Thread-safe; not for signal handlers, as malloc is not. Cost: 7 instructions for an allocation
// and its deallocation that are not sampled (x86-64), the jumps to upstream among them.
#ifndef WHENCE_MALLOC_HPP
#define WHENCE_MALLOC_HPP

#include <whence/config.hpp>

#if WHENCE_REPLACES_ALLOCATOR

#if defined(WHENCE_NEW_DELETE_HPP)
#error "<whence/new_delete.hpp> replaces operators that this page replaces: include one of the two"
#endif

#include <malloc.h>
#include <stdlib.h>

#include <cstddef>
#include <new>

#include <whence/instruments/malloc_samples.hpp>
#include <whence/instruments/next_malloc.hpp>
#include <whence/instruments/next_operators.hpp>
#include <whence/instruments/program_heap.hpp>

#define WHENCE_EXPORTED extern "C" [[gnu::visibility("default")]]

WHENCE_EXPORTED void* malloc(std::size_t bytes) noexcept {
  using namespace whence::instruments;
  if (count_program(bytes)) [[unlikely]] {
    return allocate_slow(bytes, __builtin_return_address(0), [=] { return next.malloc(bytes); });
  }
  return entries.malloc(bytes);
}

WHENCE_EXPORTED void free(void* block) noexcept {
  using namespace whence::instruments;
  if (may_be_program_sample(block)) [[unlikely]]
    return free_slow(block);
  entries.free(block);
}

WHENCE_EXPORTED void* calloc(std::size_t count, std::size_t size) noexcept {
  using namespace whence::instruments;
  std::size_t bytes = 0;
  if (!__builtin_mul_overflow(count, size, &bytes) && program_draw_ends(bytes)) [[unlikely]] {
    return calloc_slow(count, size, __builtin_return_address(0));
  }
  return next.calloc(count, size);
}

WHENCE_EXPORTED void* realloc(void* block, std::size_t bytes) noexcept {
  using namespace whence::instruments;
  const bool ends = program_draw_ends(bytes);
  if (ends || may_be_program_sample(block) || looks_at_all()) [[unlikely]] {
    return realloc_slow(block, bytes, ends, __builtin_return_address(0));
  }
  return next.realloc(block, bytes);
}

WHENCE_EXPORTED int posix_memalign(void** to, std::size_t alignment, std::size_t bytes) noexcept {
  using namespace whence::instruments;
  if (!program_draw_ends(bytes)) [[likely]]
    return next.posix_memalign(to, alignment, bytes);
  int error = 0;
  void* const block = allocate_slow(bytes, __builtin_return_address(0), [&]() -> void* {
    error = next.posix_memalign(to, alignment, bytes);
    return error == 0 ? *to : nullptr;
  });
  if (error == 0) *to = block;
  return error;
}

WHENCE_EXPORTED void* aligned_alloc(std::size_t alignment, std::size_t bytes) noexcept {
  using namespace whence::instruments;
  if (!program_draw_ends(bytes)) [[likely]]
    return next.aligned_alloc(alignment, bytes);
  return allocate_slow(bytes, __builtin_return_address(0),
                       [=] { return next.aligned_alloc(alignment, bytes); });
}

WHENCE_EXPORTED void* memalign(std::size_t alignment, std::size_t bytes) noexcept {
  using namespace whence::instruments;
  if (!program_draw_ends(bytes)) [[likely]]
    return next.memalign(alignment, bytes);
  return allocate_slow(bytes, __builtin_return_address(0),
                       [=] { return next.memalign(alignment, bytes); });
}

WHENCE_EXPORTED void* valloc(std::size_t bytes) noexcept {
  using namespace whence::instruments;
  if (!program_draw_ends(bytes)) [[likely]]
    return next.valloc(bytes);
  return allocate_slow(bytes, __builtin_return_address(0), [=] { return next.valloc(bytes); });
}

WHENCE_EXPORTED void* pvalloc(std::size_t bytes) noexcept {
  using namespace whence::instruments;
  if (!program_draw_ends(bytes)) [[likely]]
    return next.pvalloc(bytes);
  return allocate_slow(bytes, __builtin_return_address(0), [=] { return next.pvalloc(bytes); });
}

WHENCE_EXPORTED std::size_t malloc_usable_size(void* block) noexcept {
  using namespace whence::instruments;
  if (may_be_program_sample(block) || looks_at_all()) [[unlikely]]
    return usable_size_slow(block);
  return next.usable_size(block);
}

// C23. An allocator that lacks them gets a plain free.
WHENCE_EXPORTED void free_sized(void* block, std::size_t bytes) noexcept {
  using namespace whence::instruments;
  if (next.free_sized == nullptr || may_be_program_sample(block) || looks_at_all())
    return free(block);
  next.free_sized(block, bytes);
}

WHENCE_EXPORTED void free_aligned_sized(void* block, std::size_t alignment,
                                        std::size_t bytes) noexcept {
  using namespace whence::instruments;
  if (next.free_aligned_sized == nullptr || may_be_program_sample(block) || looks_at_all())
    return free(block);
  next.free_aligned_sized(block, alignment, bytes);
}

#undef WHENCE_EXPORTED

#include <whence/instruments/malloc_operators.hpp>
#include <whence/instruments/malloc_start.hpp>

#endif  // WHENCE_REPLACES_ALLOCATOR

#endif  // WHENCE_MALLOC_HPP
