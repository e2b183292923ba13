// SPDX-License-Identifier: Apache-2.0
//
// What every allocator of ours does with a sampled block: count it at its stack, remember it by
// address, and count its end there too.
//
// How a free finds out that its block is sampled: by alignment where the block could be aligned to
// a page (a tagged block, see gate.hpp), then by a filter, then by the live map, which decides.
#ifndef WHENCE_INSTRUMENTS_HEAP_HPP
#define WHENCE_INSTRUMENTS_HEAP_HPP

#include <cstddef>
#include <cstdint>

#include <whence/profile/attach.hpp>
#include <whence/profile/counters.hpp>
#include <whence/profile/process_state.hpp>
#include <whence/profile/profile.hpp>
#include <whence/profile/record.hpp>
#include <whence/stack/bucket.hpp>

namespace whence::inline v1::instruments {

// Where a sampled block lies in what upstream gave: `shift` bytes in, or as it is.
inline constexpr std::uint16_t untagged = 0xffff;

struct ended_block {
  bool sampled = false;
  std::uint16_t shift = untagged;
};

// The end of a block that may be sampled. Requires: called before upstream gets the block back.
[[gnu::noinline, gnu::cold]] inline ended_block end_block(profile& heap, const void* block,
                                                          std::size_t bytes) noexcept {
  core::process_state* const s = core::state();
  const auto address = reinterpret_cast<std::uintptr_t>(block);
  if (s == nullptr || !s->filter.may_contain(address)) return {};
  const auto found = s->blocks.erase(address, heap.rows().id);
  if (found.bucket == nullptr) return {};
  s->filter.remove(address);
  core::count_block(*found.bucket, bytes, core::freed_counter);
  return {true, found.extra};
}

// Records a block sampled at `rate`. False: its end cannot be seen, so it must not be handed out
// shifted; it counts as freed at once, so that what is in use stays true of the rest.
// Requires: `caller` as unwind::capture.
[[gnu::noinline, gnu::cold]] inline bool record_block(profile& heap, const void* block,
                                                      std::size_t bytes, std::int64_t rate,
                                                      std::uint16_t shift,
                                                      const void* caller) noexcept {
  core::process_state* const s = core::state();
  if (s == nullptr) return false;
  stack::bucket* const b = core::record_stack(*s, heap.rows(), {bytes, rate}, caller);
  if (b == nullptr) return false;
  core::count_block(*b, bytes, core::allocated_counter);
  const auto address = reinterpret_cast<std::uintptr_t>(block);
  core::insertion inserted = s->blocks.insert(address, {b, shift});
  if (inserted == core::insertion::present) {
    // Upstream took the memory back without a deallocation (a monotonic buffer): that block ended.
    end_block(heap, block, bytes);
    inserted = s->blocks.insert(address, {b, shift});
  }
  if (inserted == core::insertion::done) {
    s->filter.add(address);
    return true;
  }
  core::count_block(*b, bytes, core::freed_counter);
  s->losses.count(stack::loss::untracked_live);
  return false;
}

// True: ask `end_block`. Cost of a free that is not sampled: 3 instructions (x86-64).
[[gnu::always_inline]] inline bool may_be_sampled(const void* block) noexcept {
  return (reinterpret_cast<std::uintptr_t>(block) &
          core::own_state.own_gate.free_mask.load(std::memory_order_relaxed)) == 0;
}

}  // namespace whence::inline v1::instruments

#endif  // WHENCE_INSTRUMENTS_HEAP_HPP
