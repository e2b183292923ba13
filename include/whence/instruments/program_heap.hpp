// SPDX-License-Identifier: Apache-2.0
//
// The work of the two layers that see the memory of the whole program: <whence/new_delete.hpp> and
// <whence/malloc.hpp>. It differs from that of tracking allocators (heap.hpp) in three ways:
//
//   - a sampled block is the upstream allocator's own, aligned to a page by posix_memalign and
//   never
//     shifted, so that an end that is not seen (a plugin that binds deeply) does no harm;
//   - a free has no size, so the recorder keeps it;
//   - the countdown is another one: the bytes of a container with a tracking allocator pass both.
//
// Functions that use the module's own words are hidden, as in recorder.hpp.
#ifndef WHENCE_INSTRUMENTS_PROGRAM_HEAP_HPP
#define WHENCE_INSTRUMENTS_PROGRAM_HEAP_HPP

#include <cstddef>
#include <cstdint>

#include <whence/instruments/hot_words.hpp>
#include <whence/instruments/kind.hpp>
#include <whence/instruments/predefined.hpp>
#include <whence/instruments/recorder.hpp>
#include <whence/instruments/sized_block.hpp>
#include <whence/names.hpp>
#include <whence/sys/errno_guard.hpp>
#include <whence/sys/inside_library.hpp>
#include <whence/sys/thread_local.hpp>
#include <whence/sys/word.hpp>

namespace whence::inline v1::instruments {

WHENCE_THREAD_LOCAL std::int64_t program_countdown{0};

[[gnu::always_inline]] inline void count_program_back(std::size_t bytes) noexcept {
  program_countdown =
      static_cast<std::int64_t>(static_cast<std::size_t>(program_countdown) + bytes);
}

// If it is true, `due_in_program` decides. The arithmetic wraps, as malloc is asked for anything: a
// request near 2^63 bytes, which fails, lets a thread sample nothing until a page-aligned block or
// a null pointer is freed (end_program_block).
[[gnu::always_inline]] inline bool program_countdown_ends(std::size_t bytes) noexcept {
  program_countdown =
      static_cast<std::int64_t>(static_cast<std::size_t>(program_countdown) - bytes);
  // As in countdown(): it keeps the subtraction one instruction.
  sys::compiler_fence();
  return program_countdown < here.hot.floor.load(sys::relaxed);
}

// True if the page or the block tells that this may be a sampled one. Cost: 3 instructions.
[[gnu::always_inline]] inline bool may_be_program_sample(const void* block) noexcept {
  return (reinterpret_cast<std::uintptr_t>(block) & here.hot.program_mask.load(sys::relaxed)) == 0;
}

// True if a block recorded at this rate is recognized at its end without being aligned to a page.
[[gnu::always_inline]] inline bool is_recognized(const void* block, std::int64_t rate) noexcept {
  return rate < smallest_tagging_rate ||
         (reinterpret_cast<std::uintptr_t>(block) & program_tagged_only) == 0;
}

template <layer L>
struct layer_state {
  static inline constinit sys::word<bool> joined{false};
  static inline constinit sys::word<const void*> below{nullptr};  // for reports
};

// Makes the layer known. The recorder may allocate when it is first found, hence the scope.
template <layer L>
[[gnu::visibility("hidden")]] const recorder* join_program() noexcept {
  const sys::errno_guard keep;
  const sys::inside_scope inside;
  const recorder* const r = recorder_here();
  if (r == nullptr || layer_state<L>::joined.load(sys::relaxed)) return r;
  if (!r->join_layer(L, layer_state<L>::below.load(sys::relaxed))) return nullptr;
  layer_state<L>::joined.store(true, sys::relaxed);
  return r;
}

// Returns the rate at which an allocation that is already counted down is sampled, or 0.
template <layer L>
[[gnu::noinline, gnu::cold, gnu::visibility("hidden")]] std::int64_t due_in_program(
    std::size_t bytes) noexcept {
  if (sys::inside_library > 0 || bytes > largest_counted) {
    count_program_back(bytes);
    return 0;
  }
  const sys::errno_guard keep;
  const recorder* const r = join_program<L>();
  if (r != nullptr) return r->due_in_layer(L, program_countdown, bytes);
  program_countdown = epoch - 1;  // below the first floor of a recorder that comes later
  return 0;
}

[[gnu::visibility("hidden")]] inline profile& program_profile() noexcept {
  const sys::inside_scope inside;
  return predefined(kind::heap);
}

// Records a block that was due. False if its end cannot be seen, so that it need not be aligned.
[[gnu::noinline, gnu::cold, gnu::visibility("hidden")]] inline bool record_in_program(
    const void* block, std::size_t bytes, std::size_t usable, std::int64_t rate,
    const void* caller) noexcept {
  const sys::errno_guard keep;
  const recorder* const r = recorder_here();
  return r != nullptr &&
         r->record_sized(program_profile(), block, bytes, usable, rate, caller, nullptr);
}

// Takes a block out if it is sampled. Requires: called before upstream gets it back.
[[gnu::noinline, gnu::cold, gnu::visibility("hidden")]] inline sized_block take_program_block(
    const void* block) noexcept {
  const sys::errno_guard keep;
  // After a request near 2^63 bytes.
  if (program_countdown > here.hot.floor.load(sys::relaxed) + epoch) program_countdown = 0;
  if (block == nullptr) return {};
  const recorder* const r = here.used.load(sys::acquire);
  if (r == nullptr) {
    // Nothing was sampled so far; looking makes the mask one that not every block meets.
    const sys::inside_scope inside;
    if (sys::inside_library == 1) recorder_here();
    return {};
  }
  return r->take_sized(program_profile(), block);
}

[[gnu::visibility("hidden")]] inline void settle_program_block(const sized_block& taken,
                                                               const void* put_back) noexcept {
  const sys::errno_guard keep;
  if (const recorder* const r = here.used.load(sys::acquire)) r->settle_sized(taken, put_back);
}

// What the program may use of a block that is sampled and was aligned for it; 0 of all others.
[[gnu::noinline, gnu::cold, gnu::visibility("hidden")]] inline std::size_t usable_in_program(
    const void* block) noexcept {
  const sys::errno_guard keep;
  const recorder* const r = here.used.load(sys::acquire);
  return r == nullptr || block == nullptr ? 0 : r->find_sized(program_profile(), block).usable;
}

// The same for a block that ends now.
[[gnu::visibility("hidden")]] inline void end_program_block(const void* block) noexcept {
  const sized_block taken = take_program_block(block);
  if (taken.sampled()) settle_program_block(taken, nullptr);
}

}  // namespace whence::inline v1::instruments

#endif  // WHENCE_INSTRUMENTS_PROGRAM_HEAP_HPP
