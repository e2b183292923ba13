// SPDX-License-Identifier: Apache-2.0
//
// The bodies of <whence/new_delete.hpp>, inlined into each of the operators, and their slow paths.
// They are over the process's malloc. Functions that use the module's own words are hidden.
#ifndef WHENCE_INSTRUMENTS_PROGRAM_NEW_HPP
#define WHENCE_INSTRUMENTS_PROGRAM_NEW_HPP

#include <stdlib.h>

#include <cstddef>
#include <cstdint>
#include <new>

#include <whence/instruments/hot_words.hpp>
#include <whence/instruments/operator_new.hpp>
#include <whence/instruments/program_heap.hpp>
#include <whence/sys/early_environment.hpp>
#include <whence/sys/errno_guard.hpp>

namespace whence::inline v1::instruments {

// A block that is sampled, or would have been; nullptr if there is no memory. `alignment`: 0 if
// malloc's will do.
[[gnu::noinline, gnu::cold, gnu::visibility("hidden")]] inline void* new_sampled(
    std::size_t bytes, std::size_t alignment, const void* caller) noexcept {
  const auto plain = [=] {
    return alignment == 0 ? ::malloc(bytes) : aligned_block(bytes, alignment);
  };
  const std::int64_t rate = due_in_program<layer::operators>(bytes);
  if (rate == 0) return plain();
  // A large block shows by its address that it may be sampled, and is not to be asked for twice.
  constexpr std::size_t large = 128 * 1024;
  void* block = nullptr;
  if (rate < smallest_tagging_rate || alignment > tag_alignment || bytes >= large) block = plain();
  if (block == nullptr || !is_recognized(block, rate)) {
    if (void* const aligned = aligned_block(bytes, tag_alignment)) {
      ::free(block);
      block = aligned;
    } else {
      // Too little memory for both: the block counts, and as freed at once.
      if (block == nullptr) block = plain();
      if (block != nullptr && record_in_program(block, bytes, 0, rate, caller)) {
        end_program_block(block);
      }
      return block;
    }
  }
  record_in_program(block, bytes, 0, rate, caller);
  return block;
}

// Asks as the standard says, after upstream had no memory. nullptr if that is of no use.
[[gnu::noinline, gnu::cold, gnu::visibility("hidden")]] inline void* new_failed(
    std::size_t bytes, std::size_t alignment) {
  const std::size_t least = bytes > 0 ? bytes : 1;
  return ask_with_handler(alignment, [=] {
    return alignment == 0 ? ::malloc(least) : aligned_block(least, alignment);
  });
}

[[gnu::noinline, gnu::cold, gnu::visibility("hidden")]] inline void delete_slow(
    void* block) noexcept {
  end_program_block(block);
  ::free(block);
}

// Allocates by way of a look whether the draw is in force. An operator's frame stays in the stack
// of such a sample.
[[gnu::noinline, gnu::visibility("hidden")]] inline void* looking_new(std::size_t bytes) noexcept {
  if (!is_draw_void()) [[likely]]
    return ::malloc(bytes);
  return new_sampled(bytes, 0, __builtin_return_address(0));
}

// Where the operators end. They are not atomic words, so that a jump through them is one
// instruction; each is written whole, and every value is right at any time.
struct operator_ends {
  void* (*malloc)(std::size_t) noexcept;
  void (*free)(void*) noexcept;
};
[[gnu::visibility("hidden")]] inline constinit operator_ends upstream{&::malloc, &::free};

// Called when the hot words change.
[[gnu::visibility("hidden")]] inline void change_operator_ends() noexcept {
  if (may_draws_be_void<layer::operators>()) upstream.malloc = &looking_new;
  if (looks_at_all()) upstream.free = &delete_slow;
}

[[gnu::always_inline]] inline void* program_new(std::size_t bytes, const void* caller) {
  void* const block = count_program(bytes) ? new_sampled(bytes, 0, caller) : upstream.malloc(bytes);
  if (block == nullptr) [[unlikely]]
    return throw_if_nullptr(new_failed(bytes, 0));
  return block;
}

[[gnu::always_inline]] inline void* program_new(std::size_t bytes, std::align_val_t align,
                                                const void* caller) {
  const auto alignment = static_cast<std::size_t>(align);
  void* const block = program_draw_ends(bytes) ? new_sampled(bytes, alignment, caller)
                                               : aligned_block(bytes, alignment);
  if (block == nullptr) [[unlikely]]
    return throw_if_nullptr(new_failed(bytes, alignment));
  return block;
}

[[gnu::always_inline]] inline void* program_new_nothrow(std::size_t bytes,
                                                        const void* caller) noexcept {
  void* const block = program_draw_ends(bytes) ? new_sampled(bytes, 0, caller) : ::malloc(bytes);
  if (block != nullptr) [[likely]]
    return block;
  return nullptr_if_throws([=] { return new_failed(bytes, 0); });
}

[[gnu::always_inline]] inline void* program_new_nothrow(std::size_t bytes, std::align_val_t align,
                                                        const void* caller) noexcept {
  const auto alignment = static_cast<std::size_t>(align);
  void* const block = program_draw_ends(bytes) ? new_sampled(bytes, alignment, caller)
                                               : aligned_block(bytes, alignment);
  if (block != nullptr) [[likely]]
    return block;
  return nullptr_if_throws([=] { return new_failed(bytes, alignment); });
}

[[gnu::always_inline]] inline void program_delete(void* block) noexcept {
  if (may_be_program_sample(block)) [[unlikely]]
    return delete_slow(block);
  upstream.free(block);
}

// Makes the layer known before the module's other constructors, and in a program before those of
// its libraries, so that an instrument of the default registry never records what is seen here. A
// library does not define the operators of a process whose program does.
[[gnu::visibility("hidden")]] inline void start_operators() noexcept {
  here.hot_words_change.store(&change_operator_ends, sys::release);
#if !defined(__PIC__) || defined(__PIE__)
  join_program<layer::operators>();
#endif
}
[[gnu::constructor(101), gnu::used]] static void start_operators_early() noexcept {
  start_operators();
}
#if !defined(__PIC__) || defined(__PIE__)
[[gnu::visibility("hidden")]] inline void start_program_operators(int, char**,
                                                                  char** variables) noexcept {
  sys::use_early_environment(variables);
  start_operators();
}
[[gnu::section(".preinit_array"),
  gnu::used]] static void (*const start_operators_first)(int, char**,
                                                         char**) = &start_program_operators;
#endif

}  // namespace whence::inline v1::instruments

#endif  // WHENCE_INSTRUMENTS_PROGRAM_NEW_HPP
