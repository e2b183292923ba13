// SPDX-License-Identifier: Apache-2.0
//
// The distance to the next sample of a Poisson process, and the slow path of an allocation's
// countdown (instruments/sample_countdown.hpp).
#ifndef WHENCE_RECORD_SAMPLE_DISTANCE_HPP
#define WHENCE_RECORD_SAMPLE_DISTANCE_HPP

#include <atomic>
#include <cstddef>
#include <cstdint>

#include <whence/instruments/sample_countdown.hpp>
#include <whence/state/sampling.hpp>
#include <whence/sys/random.hpp>

namespace whence::inline v1::record {

// Draws the amount to the next sample, with 26 bits for a mean below 2^20. It is capped, so that it
// never reaches into the next epoch.
inline std::int64_t draw(std::int64_t mean) noexcept {
  const double d = -__builtin_log(sys::uniform()) * static_cast<double>(mean);
  constexpr auto cap = static_cast<double>(instruments::epoch - 1);
  return static_cast<std::int64_t>(d < cap ? d : cap);
}

// Returns the rate at which an event that is already counted down is sampled, or 0.
inline std::int64_t due(std::int64_t& countdown, const state::sampling& knob,
                        std::size_t amount) noexcept {
  const auto [floor, rate] = knob.now();
  if (rate <= 1) {
    countdown = floor - 1;  // 1: below the floor again at the next event; 0: off
    return amount == 0 ? 0 : rate;
  }
  // An earlier draw ends below this floor (state/sampling.hpp).
  if (countdown + static_cast<std::int64_t>(amount) < floor) {
    // The old draw is void. The new one counts from the start of this event.
    const std::int64_t first = draw(rate);
    if (amount <= static_cast<std::uint64_t>(first)) {
      countdown = floor + first - static_cast<std::int64_t>(amount);
      return 0;
    }
  }
  countdown = floor + draw(rate);
  return rate;
}

}  // namespace whence::inline v1::record

#endif  // WHENCE_RECORD_SAMPLE_DISTANCE_HPP
