// SPDX-License-Identifier: Apache-2.0
//
// Changes the settings of <whence/knobs.hpp>.
#ifndef WHENCE_RECORD_KNOBS_HPP
#define WHENCE_RECORD_KNOBS_HPP

#include <atomic>
#include <cstddef>
#include <cstdint>

#include <whence/instruments/knob.hpp>
#include <whence/profile/attach.hpp>
#include <whence/profile/process_state.hpp>
#include <whence/profile/sampling.hpp>
#include <whence/sys/spin_lock.hpp>
#include <whence/unwind/trace.hpp>

namespace whence::inline v1::record {

inline std::int64_t held_to(std::int64_t value, std::int64_t most) noexcept {
  return value < 0 ? 0 : value < most ? value : most;
}

inline std::int64_t set_heap_rate(core::process_state& s, std::int64_t bytes) noexcept {
  const std::int64_t rate = held_to(bytes, core::largest_rate);
  if (core::may_leave_untagged(rate)) {
    // Before any thread can sample by the new rate, every deallocation must look.
    s.free_mask.store(core::look_at_all, std::memory_order_relaxed);
    core::publish_hot_words(s);
  }
  std::int64_t before = 0;
  {
    const sys::scoped_lock hold(s.knobs);
    before = s.heap.rate.load(std::memory_order_relaxed);
    s.heap.change(rate);
  }
  core::publish_hot_words(s);
  return before;
}

// Does the work of instruments::set.
inline std::int64_t set(instruments::knob k, std::int64_t value) noexcept {
  using instruments::knob;
  core::process_state* const s = core::state();
  if (s == nullptr) return instruments::default_of(k);
  constexpr auto relaxed = std::memory_order_relaxed;
  switch (k) {
    case knob::heap_rate:
      return set_heap_rate(*s, value);
    case knob::block_rate:
      return s->block_rate.exchange(held_to(value, core::largest_block_rate), relaxed);
    case knob::mutex_fraction:
      if (value < 0) return s->mutex_fraction.load(relaxed);
      return s->mutex_fraction.exchange(held_to(value, core::largest_mutex_fraction), relaxed);
    case knob::hold_rate:
      return s->hold_rate.exchange(held_to(value, core::largest_hold_rate), relaxed);
    case knob::stack_depth: {
      constexpr auto most = static_cast<std::int64_t>(unwind::max_depth);
      const std::int64_t depth = value < 1 ? 1 : value > most ? most : value;
      return s->stack_depth.exchange(static_cast<int>(depth), relaxed);
    }
    case knob::memory_limit: {
      const std::size_t before = s->budget.limit();
      s->budget.set_limit(static_cast<std::size_t>(value));
      return static_cast<std::int64_t>(before);
    }
  }
  return 0;
}

}  // namespace whence::inline v1::record

#endif  // WHENCE_RECORD_KNOBS_HPP
