// SPDX-License-Identifier: Apache-2.0
//
// The operators new and delete below <whence/malloc.hpp>. An allocator that is loaded beside the
// program often exports its own, which never call malloc: so they are hooked, too, and treated as
// malloc, if what would be called without us is the standard library's, or of the same module as
// malloc. Anything else is a program's own, and is only passed on to.
//
// Each operator is a jump through its entry, which counts until find_next_operators decides: that
// is before the program's first operator, because the dynamic linker allocates earlier.
#ifndef WHENCE_INSTRUMENTS_NEXT_OPERATORS_HPP
#define WHENCE_INSTRUMENTS_NEXT_OPERATORS_HPP

#include <dlfcn.h>

#include <cstddef>
#include <new>

#include <whence/instruments/malloc_samples.hpp>
#include <whence/instruments/next_malloc.hpp>
#include <whence/instruments/operator_new.hpp>
#include <whence/instruments/program_heap.hpp>
#include <whence/sys/block_tail_call.hpp>

namespace whence::inline v1::instruments {

using nothrow = const std::nothrow_t&;
struct operators {
  void* (*new_one)(std::size_t);
  void* (*new_aligned)(std::size_t, std::align_val_t);
  void* (*new_nothrow)(std::size_t, nothrow) noexcept;
  void* (*new_aligned_nothrow)(std::size_t, std::align_val_t, nothrow) noexcept;
  void (*delete_one)(void*) noexcept;
  void (*delete_sized)(void*, std::size_t) noexcept;
  void (*delete_aligned)(void*, std::align_val_t) noexcept;
  void (*delete_sized_aligned)(void*, std::size_t, std::align_val_t) noexcept;
  void (*delete_nothrow)(void*, nothrow) noexcept;
  void (*delete_aligned_nothrow)(void*, std::align_val_t, nothrow) noexcept;
};

// 0: those of single objects, 1: those of arrays.
[[gnu::visibility("hidden")]] inline constinit operators next_operators[2]{};
// They are the standard library's, which call malloc: what they allocate is counted there.
[[gnu::visibility("hidden")]] inline constinit sys::atomic_word<bool> next_operators_count{false};

// They do the work of the operators if they count as malloc does.
template <int Array>
struct [[gnu::visibility("hidden")]] counted {
  [[gnu::noinline, gnu::cold]] static void* failed(std::size_t bytes, std::size_t alignment) {
    if (next_operators_count.load(sys::relaxed)) own_draw.left += bytes;  // counted down again
    const operators& below = next_operators[Array];
    const auto align = static_cast<std::align_val_t>(alignment);
    // The handler and the exception are the program's.
    if (alignment == 0 && below.new_one != nullptr) return below.new_one(bytes);
    if (alignment != 0 && below.new_aligned != nullptr) return below.new_aligned(bytes, align);
    const std::size_t least = bytes > 0 ? bytes : 1;
    return ask_with_handler(
        alignment, [=] { return alignment == 0 ? next.malloc(least) : aligned(least, alignment); });
  }

  static void* aligned(std::size_t bytes, std::size_t alignment) noexcept {
    void* block = nullptr;
    if (alignment == 1 || alignment == 2 || alignment == 4) alignment = sizeof(void*);
    return next.posix_memalign(&block, alignment, bytes) == 0 ? block : nullptr;
  }

  [[gnu::noinline, gnu::cold]] static void* new_one_slow(std::size_t bytes, const void* caller) {
    void* const block = allocate_slow(bytes, caller, [=] { return next.malloc(bytes); });
    return block != nullptr ? block : throw_if_nullptr(failed(bytes, 0));
  }
  static void* new_one(std::size_t bytes) {
    if (count_program(bytes)) [[unlikely]]
      return new_one_slow(bytes, __builtin_return_address(0));
    void* const block = entries.malloc(bytes);
    if (block == nullptr) [[unlikely]]
      return throw_if_nullptr(failed(bytes, 0));
    return block;
  }
  // The same if the operator below does not call malloc, hence counts nothing. Requires: no draw is
  // void.
  static void* new_one_below(std::size_t bytes) {
    if (count_program(bytes)) [[unlikely]]
      return new_one_slow(bytes, __builtin_return_address(0));
    return next_operators[Array].new_one(bytes);
  }
  static void* new_aligned(std::size_t bytes, std::align_val_t align) {
    const auto alignment = static_cast<std::size_t>(align);
    const auto ask = [=] { return aligned(bytes, alignment); };
    void* block;
    if (program_draw_ends(bytes)) [[unlikely]] {
      block = allocate_slow(bytes, __builtin_return_address(0), ask);
    } else {
      block = ask();
    }
    if (block == nullptr) [[unlikely]]
      block = throw_if_nullptr(failed(bytes, alignment));
    return block;
  }
  static void* new_nothrow(std::size_t bytes, nothrow) noexcept {
    void* const block = program_draw_ends(bytes) ? allocate_slow(bytes, __builtin_return_address(0),
                                                                 [=] { return next.malloc(bytes); })
                                                 : next.malloc(bytes);
    if (block != nullptr) [[likely]]
      return block;
    return nullptr_if_throws([=] { return failed(bytes, 0); });
  }
  static void* new_aligned_nothrow(std::size_t bytes, std::align_val_t align, nothrow) noexcept {
    const auto alignment = static_cast<std::size_t>(align);
    const auto ask = [=] { return aligned(bytes, alignment); };
    void* const block =
        program_draw_ends(bytes) ? allocate_slow(bytes, __builtin_return_address(0), ask) : ask();
    if (block != nullptr) [[likely]]
      return block;
    return nullptr_if_throws([=] { return failed(bytes, alignment); });
  }

  static void delete_one(void* block) noexcept {
    if (may_be_program_sample(block)) [[unlikely]]
      return free_slow(block);
    entries.free(block);
  }
  static void delete_sized(void* block, std::size_t) noexcept {
    delete_one(block);
  }
  static void delete_aligned(void* block, std::align_val_t) noexcept {
    delete_one(block);
  }
  static void delete_sized_aligned(void* block, std::size_t, std::align_val_t) noexcept {
    delete_one(block);
  }
  static void delete_nothrow(void* block, nothrow) noexcept {
    delete_one(block);
  }
  static void delete_aligned_nothrow(void* block, std::align_val_t, nothrow) noexcept {
    delete_one(block);
  }

  static constexpr operators all{
      &new_one,        &new_aligned,           &new_nothrow,    &new_aligned_nothrow,
      &delete_one,     &delete_sized,          &delete_aligned, &delete_sized_aligned,
      &delete_nothrow, &delete_aligned_nothrow};
};

[[gnu::visibility("hidden")]] inline constinit operators operator_entries[2]{counted<0>::all,
                                                                             counted<1>::all};
// The operators are a program's own: seen only by their calls of malloc.
[[gnu::visibility("hidden")]] inline constinit sys::atomic_word<bool> passes_operators{false};

[[gnu::visibility("hidden")]] inline bool look_up_operators(operators (&found)[2]) noexcept {
  bool all = true;
  operators& one = found[0];
  operators& array = found[1];
  // Each failure costs a microsecond, and most programs in C have no operators at all.
  if (!look_up_next(one.new_one, "_Znwm")) {
    forget_failed_lookup();
    return false;
  }
  all &= look_up_next(array.new_one, "_Znam");
  all &= look_up_next(one.new_aligned, "_ZnwmSt11align_val_t") &&
         look_up_next(array.new_aligned, "_ZnamSt11align_val_t");
  all &= look_up_next(one.new_nothrow, "_ZnwmRKSt9nothrow_t") &&
         look_up_next(array.new_nothrow, "_ZnamRKSt9nothrow_t");
  all &= look_up_next(one.new_aligned_nothrow, "_ZnwmSt11align_val_tRKSt9nothrow_t") &&
         look_up_next(array.new_aligned_nothrow, "_ZnamSt11align_val_tRKSt9nothrow_t");
  all &= look_up_next(one.delete_one, "_ZdlPv") && look_up_next(array.delete_one, "_ZdaPv");
  all &= look_up_next(one.delete_sized, "_ZdlPvm") && look_up_next(array.delete_sized, "_ZdaPvm");
  all &= look_up_next(one.delete_aligned, "_ZdlPvSt11align_val_t") &&
         look_up_next(array.delete_aligned, "_ZdaPvSt11align_val_t");
  all &= look_up_next(one.delete_sized_aligned, "_ZdlPvmSt11align_val_t") &&
         look_up_next(array.delete_sized_aligned, "_ZdaPvmSt11align_val_t");
  all &= look_up_next(one.delete_nothrow, "_ZdlPvRKSt9nothrow_t") &&
         look_up_next(array.delete_nothrow, "_ZdaPvRKSt9nothrow_t");
  all &= look_up_next(one.delete_aligned_nothrow, "_ZdlPvSt11align_val_tRKSt9nothrow_t") &&
         look_up_next(array.delete_aligned_nothrow, "_ZdaPvSt11align_val_tRKSt9nothrow_t");
  if (!all) forget_failed_lookup();
  return all;
}

// Decides whether the operators count or pass on. Requires: find_next_malloc has run.
[[gnu::visibility("hidden")]] inline void find_next_operators() noexcept {
  const sys::errno_guard keep;
  const sys::inside_scope inside;
  const bool all = look_up_operators(next_operators);
  const void* const below = reinterpret_cast<const void*>(next_operators[0].new_one);
  if (!all || below == nullptr) return;
  if (is_in_module(below, {"libstdc++.", "libc++."})) {
    next_operators_count.store(true, sys::relaxed);
    return;
  }
  if (module_of(below) == module_of(reinterpret_cast<const void*>(next.malloc))) {
    if (!may_draws_be_void<layer::malloc>()) {
      operator_entries[0].new_one = &counted<0>::new_one_below;
      operator_entries[1].new_one = &counted<1>::new_one_below;
    }
    return;
  }
  passes_operators.store(true, sys::relaxed);
  operator_entries[0] = next_operators[0];
  operator_entries[1] = next_operators[1];
}

// Called when the hot words change.
[[gnu::visibility("hidden")]] inline void change_entries() noexcept {
  change_malloc_entries();
  if (!may_draws_be_void<layer::malloc>() || passes_operators.load(sys::relaxed)) return;
  operator_entries[0].new_one = &counted<0>::new_one;
  operator_entries[1].new_one = &counted<1>::new_one;
}

}  // namespace whence::inline v1::instruments

#endif  // WHENCE_INSTRUMENTS_NEXT_OPERATORS_HPP
