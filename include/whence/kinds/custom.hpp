// SPDX-License-Identifier: Apache-2.0
//
// How a program's own profile is read: its count is that of the values that are in it now.
#ifndef WHENCE_KINDS_CUSTOM_HPP
#define WHENCE_KINDS_CUSTOM_HPP

#include <atomic>
#include <cstddef>
#include <cstdint>

#include <whence/core/counters.hpp>
#include <whence/core/profile.hpp>
#include <whence/kinds/from_buckets.hpp>
#include <whence/kinds/reading.hpp>
#include <whence/tables/bucket.hpp>

namespace whence::inline v1::kinds {

template <class = void>
struct basic_custom : basic_from_buckets<> {
  static std::size_t count(const profile& p) noexcept {
    std::int64_t live = 0;
    p.rows().for_each([&live](const tables::bucket& b) {
      live += b.counters[core::live_counter].load(std::memory_order_relaxed);
    });
    return static_cast<std::size_t>(live < 0 ? 0 : live);
  }
};

template <>
struct reading_of<instruments::kind::custom> {
  using type = basic_custom<>;
};

}  // namespace whence::inline v1::kinds

#endif  // WHENCE_KINDS_CUSTOM_HPP
