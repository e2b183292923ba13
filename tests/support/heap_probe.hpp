// SPDX-License-Identifier: Apache-2.0
//
// Shared by the tests of the heap's instruments: a profile of their own, its totals, and a rate
// that is restored.
#ifndef WHENCE_TESTS_HEAP_PROBE_HPP
#define WHENCE_TESTS_HEAP_PROBE_HPP

#include <cstdint>

#include <whence/knobs.hpp>
#include <whence/profile.hpp>

namespace whence_tests {

class heap_rate {
 public:
  explicit heap_rate(std::int64_t rate) : before_(whence::set_heap_profile_rate(rate)) {}
  ~heap_rate() { whence::set_heap_profile_rate(before_); }
  heap_rate(const heap_rate&) = delete;
  heap_rate& operator=(const heap_rate&) = delete;

 private:
  std::int64_t before_;
};

struct totals {
  std::int64_t objects = 0, bytes = 0, live_objects = 0, live_bytes = 0;
  friend bool operator==(const totals&, const totals&) = default;
};

inline totals totals_of(const whence::profile& p) {
  totals t;
  for (const whence::profile_row& row : p.snapshot().rows) {
    t.objects += row.values[0];
    t.bytes += row.values[1];
    t.live_objects += row.values[2];
    t.live_bytes += row.values[3];
  }
  return t;
}

}  // namespace whence_tests

#endif  // WHENCE_TESTS_HEAP_PROBE_HPP
