// SPDX-License-Identifier: Apache-2.0
//
// A sampled block whose end is seen without its size: by free, by an operator delete, by realloc.
// Its size stays in its entry, so that a block counted on an [overflow] stack, which mixes sizes,
// is taken off by its own.
//
// Requires of all: the caller is in the slow path of an allocation or of a deallocation. Nothing is
// recorded inside of the library (sys/inside_library.hpp). Keeps errno.
#ifndef WHENCE_RECORD_SIZED_HEAP_HPP
#define WHENCE_RECORD_SIZED_HEAP_HPP

#include <atomic>
#include <cstddef>
#include <cstdint>

#include <whence/core/counters.hpp>
#include <whence/core/profile.hpp>
#include <whence/instruments/sized_block.hpp>
#include <whence/record/event.hpp>
#include <whence/record/sample_distance.hpp>
#include <whence/record/tell_of_sample.hpp>
#include <whence/state/attach.hpp>
#include <whence/state/process_state.hpp>
#include <whence/sys/errno_guard.hpp>
#include <whence/sys/inside_library.hpp>
#include <whence/tables/bucket.hpp>
#include <whence/tables/losses.hpp>

namespace whence::inline v1::record {

using instruments::layer;
using instruments::sized_block;

// Makes a layer known: from now on the default registry's instruments only forward. `below`: an
// address in the allocator that the layer calls.
[[gnu::visibility("hidden")]] inline void join_layer(layer l, const void* below) noexcept {
  const sys::errno_guard keep;
  state::sized_heap& sized = state::attached().sized;
  const auto bit = static_cast<unsigned>(l);
  const unsigned before = sized.layers.fetch_or(bit, std::memory_order_relaxed);
  if (bit > before) sized.below.store(below, std::memory_order_relaxed);
}

// Returns the rate at which an allocation that a layer has counted down is sampled, or 0. As `due`
// of sample_distance.hpp, for a draw that says by itself when it was made.
[[gnu::visibility("hidden")]] inline std::int64_t due_in_layer(layer l,
                                                               instruments::program_draw& own,
                                                               std::size_t bytes) noexcept {
  state::process_state& s = state::attached();
  if (!s.links_published.load(std::memory_order_acquire)) {
    own.left = instruments::look_again;
    return 0;
  }
  if (sys::inside_library > 0) {
    own.left += bytes;
    return 0;
  }
  const auto [floor, rate] = s.heap.now();
  const bool is_in_force = own.epoch == floor;
  own.epoch = rate == 0 ? state::never : floor;
  // Layers above that of malloc only forward.
  if (rate == 0 || (l == layer::operators && s.sized.has(layer::malloc))) {
    own.left = instruments::far_away;
    return 0;
  }
  if (rate == 1) {
    own.left = 0;
    if (bytes == 0) return 0;
    tell_of_sample(s);
    return rate;
  }
  if (!is_in_force) {
    // The old draw is void. The new one counts from the start of this allocation.
    const auto first = static_cast<std::uint64_t>(draw(rate));
    if (bytes <= first) {
      own.left = first - bytes;
      return 0;
    }
  }
  own.left = static_cast<std::uint64_t>(draw(rate));
  tell_of_sample(s);
  return rate;
}

// Takes the block's entry out. Its bucket still counts it as in use.
[[gnu::visibility("hidden")]] inline sized_block take_sized(profile& heap,
                                                            const void* block) noexcept {
  state::sized_heap& sized = state::attached().sized;
  const auto address = reinterpret_cast<std::uintptr_t>(block);
  if (!sized.filter.may_contain(address)) return {};
  const auto found = sized.blocks.erase(address, heap.rows().id);
  if (found.bucket == nullptr) return {};
  sized.filter.remove(address);
  return {found.bucket, found.bytes, found.usable};
}

[[gnu::visibility("hidden")]] inline sized_block find_sized(profile& heap,
                                                            const void* block) noexcept {
  state::sized_heap& sized = state::attached().sized;
  const auto address = reinterpret_cast<std::uintptr_t>(block);
  if (!sized.filter.may_contain(address)) return {};
  const auto found = sized.blocks.find(address, heap.rows().id);
  return {found.bucket, found.bytes, found.usable};
}

// Remembers a block that its bucket counts. If it cannot, the block counts as freed at once, so
// that the amount in use stays true for all other blocks.
[[gnu::visibility("hidden")]] inline bool remember_sized(state::process_state& s, const void* block,
                                                         const sized_block& what) noexcept {
  const auto address = reinterpret_cast<std::uintptr_t>(block);
  const tables::sized_entry::entry entry{what.counted_in, what.bytes, what.usable};
  tables::insertion inserted = s.sized.blocks.insert(address, entry);
  if (inserted == tables::insertion::present) {
    // The end of the block before was not seen: a plugin's deep binding, or an inner free of the
    // allocator's.
    const auto ended = s.sized.blocks.erase(address, what.counted_in->list);
    if (ended.bucket != nullptr) {
      s.sized.filter.remove(address);
      core::count_block(*ended.bucket, ended.bytes, core::freed_counter);
      s.losses.count(tables::loss::unseen_ends);
    }
    inserted = s.sized.blocks.insert(address, entry);
  }
  if (inserted == tables::insertion::done) {
    s.sized.filter.add(address);
    return true;
  }
  core::count_block(*what.counted_in, what.bytes, core::freed_counter);
  s.losses.count(tables::loss::untracked_live);
  return false;
}

// Ends the life of a block that was taken, or puts it back at its address.
[[gnu::visibility("hidden")]] inline void settle_sized(const sized_block& taken,
                                                       const void* put_back) noexcept {
  if (put_back == nullptr) {
    core::count_block(*taken.counted_in, taken.bytes, core::freed_counter);
  } else {
    remember_sized(state::attached(), put_back, taken);
  }
}

// Records a block sampled at `rate`; `usable`, `caller` and `type` as in the recorder's other
// functions. False if its end cannot be seen.
[[gnu::visibility("hidden")]] inline bool record_sized(profile& heap, const void* block,
                                                       std::size_t bytes, std::size_t usable,
                                                       std::int64_t rate, const void* caller,
                                                       const char* type) noexcept {
  state::process_state& s = state::attached();
  tables::bucket* const b = record_stack(
      s, heap.rows(), {.number = bytes, .rate = rate, .type = s.types.intern(type)}, caller);
  if (b == nullptr) return false;
  core::count_block(*b, bytes, core::allocated_counter);
  return remember_sized(s, block, {b, bytes, usable});
}

}  // namespace whence::inline v1::record

#endif  // WHENCE_RECORD_SIZED_HEAP_HPP
