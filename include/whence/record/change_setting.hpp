// SPDX-License-Identifier: Apache-2.0
//
// Changes a setting of the running process (<whence/knobs.hpp>).
#ifndef WHENCE_RECORD_CHANGE_SETTING_HPP
#define WHENCE_RECORD_CHANGE_SETTING_HPP

#include <atomic>
#include <cstdint>

#include <whence/instruments/settings_table.hpp>
#include <whence/state/attach.hpp>
#include <whence/state/current_settings.hpp>
#include <whence/state/process_state.hpp>
#include <whence/state/sampling.hpp>
#include <whence/sys/guard.hpp>
#include <whence/sys/spin_lock.hpp>

namespace whence::inline v1::record {

inline std::int64_t set_heap_rate(state::process_state& s, std::int64_t rate) noexcept {
  if (state::may_leave_untagged(rate)) {
    // Before any thread can sample by the new rate, every deallocation must look.
    s.free_mask.store(instruments::look_at_all, std::memory_order_relaxed);
    state::publish_hot_words(s);
  }
  std::int64_t before = 0;
  {
    const sys::guard hold(s.knobs);
    before = state::exchange(s, instruments::setting::heap_rate, rate);
  }
  state::publish_hot_words(s);
  return before;
}

// Does the work of instruments::set.
inline std::int64_t set(instruments::setting which, std::int64_t value) noexcept {
  using instruments::setting;
  state::process_state& s = state::attached();
  // A negative fraction asks for the present one, as in Go.
  if (which == setting::mutex_fraction && value < 0) return state::value_of(s, which);
  value = instruments::in_range(which, value);
  return which == setting::heap_rate ? set_heap_rate(s, value) : state::exchange(s, which, value);
}

}  // namespace whence::inline v1::record

#endif  // WHENCE_RECORD_CHANGE_SETTING_HPP
