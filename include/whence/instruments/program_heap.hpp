// SPDX-License-Identifier: Apache-2.0
//
// The work of the two layers that see the memory of the whole program: <whence/new_delete.hpp> and
// <whence/malloc.hpp>. It differs from that of tracking allocators (heap.hpp) in four ways:
//
//   - a sampled block is the upstream allocator's own, aligned to a page by posix_memalign and
//   never
//     shifted, so that an end that is not seen (a plugin that binds deeply) does no harm;
//   - a free has no size, so the recorder keeps it;
//   - the countdown is another one: the bytes of a container with a tracking allocator pass both;
//   - the fast paths read no hot words. They end in a jump to upstream through a pointer, and the
//     pointers are what a new rate changes:
//
//   allocate    draw.left -= bytes;  if (it borrows)            the slow path
//               jump to upstream's, or by way of one that looks whether the draw is still in force
//   free        if ((address & 4079) == 0)                      the slow path
//               jump to upstream's, or to the slow path, if a sampled block may not be aligned
//
// 4079 leaves bit 4 out: glibc's large blocks, which are recorded as they are, begin 16 bytes into
// a page. Functions that use the module's own words are hidden, as in recorder.hpp.
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
#include <whence/sys/atomic_word.hpp>
#include <whence/sys/count_down.hpp>
#include <whence/sys/errno_guard.hpp>
#include <whence/sys/inside_library.hpp>
#include <whence/sys/thread_local.hpp>

namespace whence::inline v1::instruments {

// It begins at zero, so the first allocation of a thread makes its first draw.
WHENCE_THREAD_LOCAL program_draw own_draw{};

// If it is true, `due_in_program` decides, and the draw has wrapped.
[[gnu::always_inline]] inline bool count_program(std::size_t bytes) noexcept {
  return sys::count_down(own_draw.left, bytes);
}

// True if the block's address tells that it may be a sampled one, at rates from
// smallest_tagging_rate on.
[[gnu::always_inline]] inline bool may_be_program_sample(const void* block) noexcept {
  constexpr std::uintptr_t mask = (tag_alignment - 1) & ~std::uintptr_t{16};
  return (reinterpret_cast<std::uintptr_t>(block) & mask) == 0;
}

// True if a block recorded at this rate is recognized at its end as it is.
[[gnu::always_inline]] inline bool is_recognized(const void* block, std::int64_t rate) noexcept {
  return rate < smallest_tagging_rate || may_be_program_sample(block);
}

// True if the draw was made for another rate than the present one.
[[gnu::always_inline]] inline bool is_draw_void() noexcept {
  return own_draw.epoch != here.hot.floor.load(sys::relaxed);
}

// The same of both, for functions that go on to upstream without a pointer of their own.
[[gnu::always_inline]] inline bool program_draw_ends(std::size_t bytes) noexcept {
  return count_program(bytes) || is_draw_void();
}

// True if a sampled block need not show by its address, so that every end asks.
[[gnu::always_inline]] inline bool looks_at_all() noexcept {
  return here.hot.free_mask.load(sys::relaxed) == look_at_all;
}

template <layer L>
struct layer_state {
  static inline constinit std::int64_t first_floor = 0;  // under the loader's lock
  static inline constinit sys::atomic_word<bool> joined{false};
  static inline constinit sys::atomic_word<const void*> below{nullptr};  // for reports
};

// True from a recorder's second floor on: threads then have draws that may be void. Requires:
// called when the hot words change, or before that.
template <layer L>
[[gnu::visibility("hidden")]] bool may_draws_be_void() noexcept {
  const std::int64_t floor = here.hot.floor.load(sys::relaxed);
  std::int64_t& first = layer_state<L>::first_floor;
  constexpr std::int64_t without_recorder = hot_words::first_floor;
  if (first == 0 && floor != without_recorder) first = floor;
  return first != 0 && first != floor;
}

// Makes the layer known. The recorder may allocate when it is first found, hence the scope.
template <layer L>
[[gnu::visibility("hidden")]] const recorder* join_program() noexcept {
  const sys::errno_guard keep;
  const sys::inside_scope inside;
  const recorder* const r = recorder_here();
  if (r == nullptr || layer_state<L>::joined.load(sys::relaxed)) return r;
  r->join_layer(L, layer_state<L>::below.load(sys::relaxed));
  layer_state<L>::joined.store(true, sys::relaxed);
  own_draw = {};
  return r;
}

// Returns the rate at which an allocation that is already counted down is sampled, or 0.
template <layer L>
[[gnu::noinline, gnu::cold, gnu::visibility("hidden")]] std::int64_t due_in_program(
    std::size_t bytes) noexcept {
  // No request of that size succeeds.
  if (sys::inside_library > 0 || bytes > largest_counted) {
    own_draw.left += bytes;
    return 0;
  }
  const sys::errno_guard keep;
  if (const recorder* const r = join_program<L>()) return r->due_in_layer(L, own_draw, bytes);
  own_draw = {look_again, here.hot.floor.load(sys::relaxed)};
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
  const recorder* const r = here.used.load(sys::acquire);
  return r != nullptr &&
         r->record_sized(program_profile(), block, bytes, usable, rate, caller, nullptr);
}

// Takes a block out if it is sampled. Requires: called before upstream gets it back.
[[gnu::noinline, gnu::cold, gnu::visibility("hidden")]] inline sized_block take_program_block(
    const void* block) noexcept {
  const recorder* const r = here.used.load(sys::acquire);
  if (r == nullptr || block == nullptr) return {};
  const sys::errno_guard keep;
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
  const recorder* const r = here.used.load(sys::acquire);
  if (r == nullptr || block == nullptr) return 0;
  const sys::errno_guard keep;
  return r->find_sized(program_profile(), block).usable;
}

// The same for a block that ends now.
[[gnu::visibility("hidden")]] inline void end_program_block(const void* block) noexcept {
  const sized_block taken = take_program_block(block);
  if (taken.sampled()) settle_program_block(taken, nullptr);
}

}  // namespace whence::inline v1::instruments

#endif  // WHENCE_INSTRUMENTS_PROGRAM_HEAP_HPP
