// SPDX-License-Identifier: Apache-2.0
//
// The memory limit of the process, divided into shares of sixteenths. What one share lacks it never
// takes from another: neither samples nor label values that hardly repeat leave an allocation
// without a stack.
//
// Thread-safe, lock-free.
#ifndef WHENCE_PROFILE_MEMORY_SHARES_HPP
#define WHENCE_PROFILE_MEMORY_SHARES_HPP

#include <cstddef>

#include <whence/sys/pages.hpp>

namespace whence::inline v1::core {

struct memory_shares {
  constexpr explicit memory_shares(std::size_t limit) noexcept
      : permanent(limit - samples_of(limit)), samples(samples_of(limit)) {}

  sys::memory_budget permanent;  // stacks of everything but samples, and what must exist
  sys::memory_budget samples;    // stacks of CPU and wall-clock samples: freed with their windows

  std::size_t used() const noexcept { return permanent.used() + samples.used(); }
  std::size_t limit() const noexcept { return permanent.limit() + samples.limit(); }
  void set_limit(std::size_t bytes) noexcept {
    permanent.set_limit(bytes - samples_of(bytes));
    samples.set_limit(samples_of(bytes));
  }

 private:
  static constexpr std::size_t samples_of(std::size_t limit) noexcept { return limit / 16 * 6; }
};

}  // namespace whence::inline v1::core

#endif  // WHENCE_PROFILE_MEMORY_SHARES_HPP
