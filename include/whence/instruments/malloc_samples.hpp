// SPDX-License-Identifier: Apache-2.0
//
// The slow paths of <whence/malloc.hpp>. What upstream answers is what the program gets, in size,
// contents, alignment and errno; a block that is sampled and does not show it by its address is
// asked for once more, aligned to a page:
//
//   malloc(n)          upstream's block tells how much is usable: n <= usable
//   memalign(4096, usable)                   handed out instead; malloc_usable_size says `usable`
//
// No lock is held while upstream is called. An end is noted before upstream gets the block.
#ifndef WHENCE_INSTRUMENTS_MALLOC_SAMPLES_HPP
#define WHENCE_INSTRUMENTS_MALLOC_SAMPLES_HPP

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include <cstddef>
#include <cstdint>

#include <whence/instruments/hot_words.hpp>
#include <whence/instruments/next_malloc.hpp>
#include <whence/instruments/page_pool.hpp>
#include <whence/instruments/program_heap.hpp>
#include <whence/instruments/sized_block.hpp>
#include <whence/sys/errno_guard.hpp>

namespace whence::inline v1::instruments {

// Does the work of due_in_program, once the allocator below is known.
[[gnu::noinline, gnu::cold, gnu::visibility("hidden")]] inline std::int64_t due_in_malloc(
    std::size_t bytes) noexcept {
  if (!next_is_known.load(sys::acquire) && !finding_next_malloc) find_next_malloc();
  if (only_passes.load(sys::relaxed)) {
    own_draw = {far_away, here.hot.floor.load(sys::relaxed)};
    return 0;
  }
  layer_state<layer::malloc>::below.store(reinterpret_cast<const void*>(next.malloc), sys::relaxed);
  return due_in_program<layer::malloc>(bytes);
}

// The block to hand out instead of `block`, aligned to a page; `fill` writes its usable bytes from
// those of the other. `block` itself if there is no memory for both: it counts, and as freed at
// once.
template <class Fill>
[[gnu::visibility("hidden")]] void* aligned_sample(void* block, std::size_t bytes,
                                                   std::int64_t rate, const void* caller,
                                                   Fill fill) noexcept {
  const sys::errno_guard keep;
  const std::size_t usable = next.usable_size(block);
  void* aligned = nullptr;
  if (next.posix_memalign(&aligned, tag_alignment, usable) != 0 || aligned == nullptr) {
    if (record_in_program(block, bytes, 0, rate, caller)) end_program_block(block);
    return block;
  }
  if (!record_in_program(aligned, bytes, usable, rate, caller)) {
    next.free(aligned);
    return block;
  }
  fill(aligned, usable);
  next.free(block);
  return aligned;
}

template <class Fill>
[[gnu::visibility("hidden")]] void* sample(void* block, std::size_t bytes, std::int64_t rate,
                                           const void* caller, Fill fill) noexcept {
  if (block == nullptr || rate == 0) return block;
  if (!is_recognized(block, rate)) return aligned_sample(block, bytes, rate, caller, fill);
  record_in_program(block, bytes, 0, rate, caller);
  return block;
}

// What an allocation without contents does if its countdown ended. `ask` calls upstream.
template <class Ask>
[[gnu::noinline, gnu::cold, gnu::visibility("hidden")]] void* allocate_slow(std::size_t bytes,
                                                                            const void* caller,
                                                                            Ask ask) noexcept {
  const std::int64_t rate = due_in_malloc(bytes);
  return sample(ask(), bytes, rate, caller, [](void*, std::size_t) {});
}

// Zeroes a block without touching its pages, if it is large: they go back to the kernel, whose
// pages are zero.
[[gnu::visibility("hidden")]] inline void zero_block(void* block, std::size_t bytes) noexcept {
  constexpr std::size_t large = 128 * 1024;
  const std::size_t pages = bytes & ~(tag_alignment - 1);
  if (bytes < large || ::madvise(block, pages, MADV_DONTNEED) != 0) {
    ::memset(block, 0, bytes);
  } else {
    ::memset(static_cast<char*>(block) + pages, 0, bytes - pages);
  }
}

[[gnu::noinline, gnu::cold, gnu::visibility("hidden")]] inline void* calloc_slow(
    std::size_t count, std::size_t size, const void* caller) noexcept {
  const std::size_t bytes = count * size;
  const std::int64_t rate = due_in_malloc(bytes);
  return sample(next.calloc(count, size), bytes, rate, caller, &zero_block);
}

[[gnu::noinline, gnu::cold, gnu::visibility("hidden")]] inline void free_slow(
    void* block) noexcept {
  if (page_pool::has(block)) return;
  end_program_block(block);
  next.free(block);
}

// Allocates by way of a look whether the draw is in force. The caller that it sees may be an
// operator, whose frame then stays in the stack.
[[gnu::noinline, gnu::visibility("hidden")]] inline void* looking_malloc(
    std::size_t bytes) noexcept {
  if (!is_draw_void()) [[likely]]
    return next.malloc(bytes);
  return allocate_slow(bytes, __builtin_return_address(0), [=] { return next.malloc(bytes); });
}

// Called when the hot words change.
[[gnu::visibility("hidden")]] inline void change_malloc_entries() noexcept {
  if (may_draws_be_void<layer::malloc>()) entries.malloc = &looking_malloc;
  if (looks_at_all()) entries.free = &free_slow;
}

[[gnu::visibility("hidden")]] inline void* leave_pool(const void* block,
                                                      std::size_t bytes) noexcept {
  void* const moved = next.malloc(bytes);
  const std::size_t had = page_pool::size_of(block);
  if (moved != nullptr) ::memcpy(moved, block, had < bytes ? had : bytes);
  return moved;
}

// A reallocation is the end of the old block and an allocation of `bytes`, in place too. If it
// fails, the old block goes on. `ends`: the countdown ended.
[[gnu::noinline, gnu::cold, gnu::visibility("hidden")]] inline void* realloc_slow(
    void* block, std::size_t bytes, bool ends, const void* caller) noexcept {
  // First, because a draw that has ended must be made again.
  const std::int64_t rate = ends ? due_in_malloc(bytes) : 0;
  if (page_pool::has(block)) return leave_pool(block, bytes);
  const sized_block before = take_program_block(block);
  void* const moved = next.realloc(block, bytes);
  if (before.sampled()) {
    const bool failed = moved == nullptr && bytes != 0;
    settle_program_block(before, failed ? block : nullptr);
  }
  return sample(moved, bytes, rate, caller,
                [&](void* to, std::size_t usable) { ::memcpy(to, moved, usable); });
}

[[gnu::noinline, gnu::cold, gnu::visibility("hidden")]] inline std::size_t usable_size_slow(
    void* block) noexcept {
  if (page_pool::has(block)) return page_pool::size_of(block);
  const std::size_t recorded = usable_in_program(block);
  const std::size_t usable = next.usable_size(block);
  // The entry may be that of an earlier block at this address, whose end was not seen.
  return recorded != 0 && recorded < usable ? recorded : usable;
}

}  // namespace whence::inline v1::instruments

#endif  // WHENCE_INSTRUMENTS_MALLOC_SAMPLES_HPP
