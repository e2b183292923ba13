// SPDX-License-Identifier: Apache-2.0
//
// The work of every tracking allocator on a sampled block: it counts the block at its stack,
// remembers it by address, and counts its end at the same stack (record/heap.hpp).
//
// A free finds out that its block is sampled first by alignment, if the block could be aligned to a
// page (a tagged block, see tag.hpp), then by a filter, then by the live map, which decides.
#ifndef WHENCE_INSTRUMENTS_HEAP_HPP
#define WHENCE_INSTRUMENTS_HEAP_HPP

#include <cstddef>
#include <cstdint>

#include <whence/instruments/recorder.hpp>
#include <whence/names.hpp>
#include <whence/sys/atomic_word.hpp>

namespace whence::inline v1::instruments {

// The offset of a sampled block in the memory from upstream is `shift` bytes, or this value if the
// block was not moved.
inline constexpr std::uint16_t untagged = 0xffff;

struct ended_block {
  bool sampled = false;
  std::uint16_t shift = untagged;
};

// The end of a block that may be sampled. Requires: called before upstream gets the block back.
template <class R>
[[gnu::noinline, gnu::cold]] ended_block end_block(const void* block, std::size_t bytes) noexcept {
  const recorder* const r = recorder_here();
  return r == nullptr ? ended_block{} : r->end_block(R::heap(), block, bytes);
}

// Records a block sampled at `rate`. If it returns false, the end of the block cannot be seen, so
// the block must not be handed out shifted. `type` names the type that the block is for, and is
// read only during the call; nullptr if the type is not known. Requires: `due` returned the rate;
// `caller` as for the recorder.
template <class R>
[[gnu::noinline, gnu::cold]] bool record_block(const void* block, std::size_t bytes,
                                               std::int64_t rate, std::uint16_t shift,
                                               const void* caller, const char* type) noexcept {
  const recorder* const r = recorder_here();
  return r != nullptr && r->record_block(R::heap(), block, bytes, rate, shift, caller, type);
}

// If it is true, `end_block` decides. Cost of a free that is not sampled: 3 instructions (x86-64).
[[gnu::always_inline]] inline bool may_be_sampled(const void* block) noexcept {
  return (reinterpret_cast<std::uintptr_t>(block) & here.hot.free_mask.load(sys::relaxed)) == 0;
}

}  // namespace whence::inline v1::instruments

#endif  // WHENCE_INSTRUMENTS_HEAP_HPP
