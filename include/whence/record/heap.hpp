// SPDX-License-Identifier: Apache-2.0
//
// A sampled block from its allocation to its end: counted at its stack, remembered by address.
#ifndef WHENCE_RECORD_HEAP_HPP
#define WHENCE_RECORD_HEAP_HPP

#include <atomic>
#include <cstddef>
#include <cstdint>

#include <whence/core/counters.hpp>
#include <whence/core/profile.hpp>
#include <whence/instruments/heap.hpp>
#include <whence/record/event.hpp>
#include <whence/record/sample_distance.hpp>
#include <whence/record/tell_of_sample.hpp>
#include <whence/state/attach.hpp>
#include <whence/state/process_state.hpp>
#include <whence/tables/bucket.hpp>
#include <whence/tables/losses.hpp>

namespace whence::inline v1::record {

using instruments::ended_block;

// Does the work of instruments::due.
inline std::int64_t due_bytes(profile& heap, std::int64_t& countdown, std::size_t bytes) noexcept {
  state::process_state& s = state::attached();
  // No block is sampled until every module can see the end of one.
  if (!s.links_published.load(std::memory_order_acquire)) return 0;
  const std::int64_t rate = due(countdown, s.heap, bytes);
  // A block that a layer sees, too, would be counted twice in its profile.
  const bool is_seen_below = s.sized.sees_program() && &heap == &s.of(instruments::kind::heap);
  if (rate == 0 || is_seen_below) return 0;
  tell_of_sample(s);
  return rate;
}

// Does the work of instruments::end_block.
inline ended_block end_block(profile& heap, const void* block, std::size_t bytes) noexcept {
  state::process_state& s = state::attached();
  const auto address = reinterpret_cast<std::uintptr_t>(block);
  if (!s.filter.may_contain(address)) return {};
  const auto found = s.blocks.erase(address, heap.rows().id);
  if (found.bucket == nullptr) return {};
  s.filter.remove(address);
  core::count_block(*found.bucket, bytes, core::freed_counter);
  return {true, found.extra};
}

// Does the work of instruments::record_block. A block whose end cannot be seen counts as freed at
// once, so that the amount in use stays true for all other blocks.
inline bool record_block(profile& heap, const void* block, std::size_t bytes, std::int64_t rate,
                         std::uint16_t shift, const void* caller, const char* type) noexcept {
  state::process_state& s = state::attached();
  tables::bucket* const b = record_stack(
      s, heap.rows(), {.number = bytes, .rate = rate, .type = s.types.intern(type)}, caller);
  if (b == nullptr) return false;
  core::count_block(*b, bytes, core::allocated_counter);
  const auto address = reinterpret_cast<std::uintptr_t>(block);
  tables::insertion inserted = s.blocks.insert(address, {b, shift});
  if (inserted == tables::insertion::present) {
    // Upstream took the memory back without a deallocation (a monotonic buffer): that block ended.
    end_block(heap, block, bytes);
    inserted = s.blocks.insert(address, {b, shift});
  }
  if (inserted == tables::insertion::done) {
    s.filter.add(address);
    return true;
  }
  core::count_block(*b, bytes, core::freed_counter);
  s.losses.count(tables::loss::untracked_live);
  return false;
}

}  // namespace whence::inline v1::record

#endif  // WHENCE_RECORD_HEAP_HPP
