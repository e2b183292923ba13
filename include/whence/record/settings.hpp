// SPDX-License-Identifier: Apache-2.0
//
// Changes a setting of the running process (<whence/knobs.hpp>).
#ifndef WHENCE_RECORD_SETTINGS_HPP
#define WHENCE_RECORD_SETTINGS_HPP

#include <atomic>
#include <cstdint>

#include <whence/instruments/setting.hpp>
#include <whence/profile/attach.hpp>
#include <whence/profile/process_state.hpp>
#include <whence/profile/sampling.hpp>
#include <whence/profile/setting_values.hpp>
#include <whence/sys/spin_lock.hpp>

namespace whence::inline v1::record {

inline std::int64_t set_heap_rate(core::process_state& s, std::int64_t rate) noexcept {
  if (core::may_leave_untagged(rate)) {
    // Before any thread can sample by the new rate, every deallocation must look.
    s.free_mask.store(core::look_at_all, std::memory_order_relaxed);
    core::publish_hot_words(s);
  }
  std::int64_t before = 0;
  {
    const sys::scoped_lock hold(s.knobs);
    before = core::exchange(s, instruments::setting::heap_rate, rate);
  }
  core::publish_hot_words(s);
  return before;
}

// Does the work of instruments::set.
inline std::int64_t set(instruments::setting which, std::int64_t value) noexcept {
  using instruments::setting;
  core::process_state* const s = core::state();
  if (s == nullptr) return instruments::info(which).at_start;
  // A negative fraction asks for the present one, as in Go.
  if (which == setting::mutex_fraction && value < 0) return core::value_of(*s, which);
  value = instruments::in_range(which, value);
  return which == setting::heap_rate ? set_heap_rate(*s, value) : core::exchange(*s, which, value);
}

}  // namespace whence::inline v1::record

#endif  // WHENCE_RECORD_SETTINGS_HPP
