// SPDX-License-Identifier: Apache-2.0
//
// The memory limit of the process, divided into shares. A share that is full takes nothing from the
// others, so an allocation gets its stack however many samples, label values and live blocks there
// are.
//
// Thread-safe, lock-free.
#ifndef WHENCE_TABLES_MEMORY_SHARES_HPP
#define WHENCE_TABLES_MEMORY_SHARES_HPP

#include <cstddef>

#include <whence/sys/pages.hpp>

namespace whence::inline v1::tables {

struct memory_shares {
  constexpr explicit memory_shares(std::size_t limit) noexcept
      : stacks(limit - sixteenths(limit, 12)),
        cpu_samples(sixteenths(limit, 3)),
        wall_samples(sixteenths(limit, 3)),
        live(sixteenths(limit, 5)),
        labels(sixteenths(limit, 1)),
        snapshots(for_readers(limit, 8)) {}

  sys::memory_budget stacks;                     // permanent ones, and what must exist
  sys::memory_budget cpu_samples, wall_samples;  // stacks that are freed with their windows
  sys::memory_budget live;                       // blocks, values and coroutines that are alive
  sys::memory_budget labels;
  // Besides the limit, while profiles are read: the rows of windows, which are copies.
  sys::memory_budget snapshots;

  // What may be kept of the names of code between two profiles.
  std::size_t names_limit() const noexcept { return for_readers(limit(), 4); }

  std::size_t used() const noexcept {
    return stacks.used() + cpu_samples.used() + wall_samples.used() + live.used() + labels.used();
  }
  std::size_t limit() const noexcept {
    return stacks.limit() + cpu_samples.limit() + wall_samples.limit() + live.limit() +
           labels.limit();
  }
  void set_limit(std::size_t bytes) noexcept {
    stacks.set_limit(bytes - sixteenths(bytes, 12));
    cpu_samples.set_limit(sixteenths(bytes, 3));
    wall_samples.set_limit(sixteenths(bytes, 3));
    live.set_limit(sixteenths(bytes, 5));
    labels.set_limit(sixteenths(bytes, 1));
    snapshots.set_limit(for_readers(bytes, 8));
  }

 private:
  static constexpr std::size_t sixteenths(std::size_t limit, std::size_t n) noexcept {
    return limit / 16 * n;
  }
  // A profile can be read under any limit.
  static constexpr std::size_t for_readers(std::size_t limit, std::size_t n) noexcept {
    constexpr std::size_t least = std::size_t{1} << 20;
    return sixteenths(limit, n) < least ? least : sixteenths(limit, n);
  }
};

}  // namespace whence::inline v1::tables

#endif  // WHENCE_TABLES_MEMORY_SHARES_HPP
