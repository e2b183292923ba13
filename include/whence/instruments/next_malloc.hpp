// SPDX-License-Identifier: Apache-2.0
//
// The allocator below <whence/malloc.hpp>: the functions that the program would call without us.
//
// They are looked up at the first call of any of them, which may come from the dynamic linker
// before any constructor. Looking them up may allocate in turn: such blocks come from a pool of
// pages.
//
// Until then each pointer leads to a function that looks up and calls again, so the fast paths need
// no test.
#ifndef WHENCE_INSTRUMENTS_NEXT_MALLOC_HPP
#define WHENCE_INSTRUMENTS_NEXT_MALLOC_HPP

#include <dlfcn.h>
#include <errno.h>
#include <link.h>

#include <cstddef>
#include <initializer_list>

#include <whence/instruments/page_pool.hpp>
#include <whence/sys/atomic_word.hpp>
#include <whence/sys/errno_guard.hpp>
#include <whence/sys/inside_library.hpp>
#include <whence/sys/thread_local.hpp>

namespace whence::inline v1::instruments {

[[gnu::visibility("hidden")]] void find_next_malloc() noexcept;

WHENCE_THREAD_LOCAL bool finding_next_malloc{false};

// Calls `ask` once the functions are known, or takes from the pool if they are being looked up.
template <class Ask>
[[gnu::visibility("hidden")]] void* ask_next(std::size_t bytes, Ask ask) noexcept {
  if (finding_next_malloc) return page_pool::take(bytes);
  find_next_malloc();
  return ask();
}

struct next_functions {
  void* (*malloc)(std::size_t) noexcept;
  void (*free)(void*) noexcept;
  void* (*calloc)(std::size_t, std::size_t) noexcept;
  void* (*realloc)(void*, std::size_t) noexcept;
  int (*posix_memalign)(void**, std::size_t, std::size_t) noexcept;
  void* (*aligned_alloc)(std::size_t, std::size_t) noexcept;
  void* (*memalign)(std::size_t, std::size_t) noexcept;
  void* (*valloc)(std::size_t) noexcept;
  void* (*pvalloc)(std::size_t) noexcept;
  std::size_t (*usable_size)(void*) noexcept;
  void (*free_sized)(void*, std::size_t) noexcept;                       // or nullptr
  void (*free_aligned_sized)(void*, std::size_t, std::size_t) noexcept;  // or nullptr
};

// What the pointers are before the first call.
struct [[gnu::visibility("hidden")]] first_call {
  static void* malloc(std::size_t bytes) noexcept;
  static void free(void*) noexcept;
  static void* calloc(std::size_t count, std::size_t size) noexcept;
  static void* realloc(void* block, std::size_t bytes) noexcept;
  static int posix_memalign(void** to, std::size_t alignment, std::size_t bytes) noexcept;
  static void* aligned_alloc(std::size_t alignment, std::size_t bytes) noexcept;
  static void* memalign(std::size_t alignment, std::size_t bytes) noexcept;
  static void* valloc(std::size_t bytes) noexcept;
  static void* pvalloc(std::size_t bytes) noexcept;
  static std::size_t usable_size(void* block) noexcept;
};

[[gnu::visibility("hidden")]] inline constinit next_functions next{&first_call::malloc,
                                                                   &first_call::free,
                                                                   &first_call::calloc,
                                                                   &first_call::realloc,
                                                                   &first_call::posix_memalign,
                                                                   &first_call::aligned_alloc,
                                                                   &first_call::memalign,
                                                                   &first_call::valloc,
                                                                   &first_call::pvalloc,
                                                                   &first_call::usable_size,
                                                                   nullptr,
                                                                   nullptr};

// Where the two most frequent functions end. They are not atomic words, so that a jump through them
// is one instruction; each is written whole, and every value is right at any time.
struct malloc_entries {
  void* (*malloc)(std::size_t) noexcept;
  void (*free)(void*) noexcept;
};
[[gnu::visibility("hidden")]] inline constinit malloc_entries entries{&first_call::malloc,
                                                                      &first_call::free};

[[gnu::visibility("hidden")]] inline constinit sys::atomic_word<bool> next_is_known{false};
// The allocator below is a sanitizer's, which is not to be disturbed.
[[gnu::visibility("hidden")]] inline constinit sys::atomic_word<bool> only_passes{false};

inline void* first_call::malloc(std::size_t bytes) noexcept {
  return ask_next(bytes, [&] { return next.malloc(bytes); });
}
// What is freed now came from the pool, or from the allocator before it was known.
inline void first_call::free(void* block) noexcept {
  if (block == nullptr || finding_next_malloc) return;
  find_next_malloc();
  next.free(block);
}
inline void* first_call::calloc(std::size_t count, std::size_t size) noexcept {
  std::size_t bytes = 0;
  if (finding_next_malloc && __builtin_mul_overflow(count, size, &bytes)) return nullptr;
  return ask_next(bytes, [&] { return next.calloc(count, size); });
}
inline void* first_call::realloc(void* block, std::size_t bytes) noexcept {
  return ask_next(bytes, [&] { return next.realloc(block, bytes); });
}
inline int first_call::posix_memalign(void** to, std::size_t alignment,
                                      std::size_t bytes) noexcept {
  if (finding_next_malloc) return ENOMEM;
  find_next_malloc();
  return next.posix_memalign(to, alignment, bytes);
}
inline void* first_call::aligned_alloc(std::size_t alignment, std::size_t bytes) noexcept {
  return ask_next(bytes, [&] { return next.aligned_alloc(alignment, bytes); });
}
inline void* first_call::memalign(std::size_t alignment, std::size_t bytes) noexcept {
  return ask_next(bytes, [&] { return next.memalign(alignment, bytes); });
}
inline void* first_call::valloc(std::size_t bytes) noexcept {
  return ask_next(bytes, [&] { return next.valloc(bytes); });
}
inline void* first_call::pvalloc(std::size_t bytes) noexcept {
  return ask_next(bytes, [&] { return next.pvalloc(bytes); });
}
inline std::size_t first_call::usable_size(void* block) noexcept {
  if (block == nullptr || finding_next_malloc) return 0;
  find_next_malloc();
  return next.usable_size(block);
}

// The address at which the function's module begins; nullptr if it is in none.
// (dladdr would look through all symbols of libc, which is a quarter of what a preload costs a
// program at its start.)
[[gnu::visibility("hidden")]] inline const void* module_of(const void* function) noexcept {
  ::dl_find_object module{};
  return ::_dl_find_object(const_cast<void*>(function), &module) == 0 ? module.dlfo_map_start
                                                                      : nullptr;
}

// True if the function is in a module whose file name has one of the words in it.
[[gnu::visibility("hidden")]] inline bool is_in_module(
    const void* function, std::initializer_list<const char*> words) noexcept {
  ::dl_find_object module{};
  if (::_dl_find_object(const_cast<void*>(function), &module) != 0) return false;
  const char* const path = module.dlfo_link_map->l_name;
  const char* file = path == nullptr ? nullptr : __builtin_strrchr(path, '/');
  if (path == nullptr) return false;
  file = file == nullptr ? path : file + 1;
  for (const char* const word : words) {
    if (__builtin_strstr(file, word) != nullptr) return true;
  }
  return false;
}

template <class F>
[[gnu::visibility("hidden")]] bool look_up_next(F*& to, const char* name) noexcept {
  void* const found = ::dlsym(RTLD_NEXT, name);
  if (found != nullptr) to = reinterpret_cast<F*>(found);
  return found != nullptr;
}

// The program must not find our failure in its next dlerror(): a lookup that succeeds clears it.
// dlerror() would, too, but translates its message, and takes a lock that the thread has if the
// first allocation of a process is made by bindtextdomain (libgpg-error's constructor).
[[gnu::visibility("hidden")]] inline void forget_failed_lookup() noexcept {
  (void)::dlsym(RTLD_NEXT, "malloc");
}

inline void find_next_malloc() noexcept {
  if (next_is_known.load(sys::acquire)) return;
  const sys::errno_guard keep;
  const sys::inside_scope inside;
  finding_next_malloc = true;
  next_functions found = next;
  look_up_next(found.free_sized, "free_sized");
  look_up_next(found.free_aligned_sized, "free_aligned_sized");
  look_up_next(found.free, "free");
  look_up_next(found.calloc, "calloc");
  look_up_next(found.realloc, "realloc");
  look_up_next(found.posix_memalign, "posix_memalign");
  look_up_next(found.aligned_alloc, "aligned_alloc");
  look_up_next(found.memalign, "memalign");
  look_up_next(found.valloc, "valloc");
  look_up_next(found.pvalloc, "pvalloc");
  look_up_next(found.usable_size, "malloc_usable_size");
  look_up_next(found.malloc, "malloc");  // last: see forget_failed_lookup
  only_passes.store(is_in_module(reinterpret_cast<const void*>(found.malloc),
                                 {"libasan", "libtsan", "libmsan", "liblsan", "libhwasan"}),
                    sys::relaxed);
  next = found;
  if (entries.malloc == &first_call::malloc) entries.malloc = found.malloc;
  if (entries.free == &first_call::free) entries.free = found.free;
  next_is_known.store(true, sys::release);
  finding_next_malloc = false;
}

}  // namespace whence::inline v1::instruments

#endif  // WHENCE_INSTRUMENTS_NEXT_MALLOC_HPP
