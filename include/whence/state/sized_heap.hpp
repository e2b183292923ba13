// SPDX-License-Identifier: Apache-2.0
//
// What the root keeps of sampled blocks whose end is seen without their size: a map and a filter
// apart from those of the instruments that know it. A block of tracking_allocator may lie in one of
// the whole program, at the same address.
#ifndef WHENCE_STATE_SIZED_HEAP_HPP
#define WHENCE_STATE_SIZED_HEAP_HPP

#include <atomic>
#include <cstdint>

#include <whence/instruments/sized_block.hpp>
#include <whence/sys/pages.hpp>
#include <whence/tables/live_map.hpp>
#include <whence/tables/sampled_filter.hpp>

namespace whence::inline v1::state {

struct sized_heap {
  using block_map = tables::live_map<std::uint64_t, tables::sized_entry>;

  struct storage {
    block_map::storage blocks;
    tables::sampled_filter::storage filter;
  };

  constexpr sized_heap(storage& own, sys::memory_budget& live) noexcept
      : blocks(own.blocks, live), filter(own.filter) {}

  block_map blocks;  // by address
  tables::sampled_filter filter;

  // The layers that are in force, as bits, and an address of the function that the topmost calls.
  std::atomic<unsigned> layers{0};
  std::atomic<const void*> below{nullptr};

  bool has(instruments::layer l) const noexcept {
    return (layers.load(std::memory_order_relaxed) & static_cast<unsigned>(l)) != 0;
  }
  bool sees_program() const noexcept {
    return (layers.load(std::memory_order_relaxed) & instruments::seeing_layers) != 0;
  }
};

}  // namespace whence::inline v1::state

#endif  // WHENCE_STATE_SIZED_HEAP_HPP
