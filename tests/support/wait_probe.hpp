// SPDX-License-Identifier: Apache-2.0
//
// Shared by the tests of locks and waits: rates that are restored, and the sums of a profile.
#ifndef WHENCE_TESTS_WAIT_PROBE_HPP
#define WHENCE_TESTS_WAIT_PROBE_HPP

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "units.hpp"
#include <whence/format/process_code.hpp>
#include <whence/format/profile_writer.hpp>
#include <whence/knobs.hpp>
#include <whence/profile.hpp>
#include <whence/registry.hpp>

namespace whence_tests {

// Profiles of one test alone, which no other test writes to.
template <whence::fixed_string Name>
using own = whence::prefixed_registry<Name>;

class wait_rates {
 public:
  explicit wait_rates(std::int64_t block_ns, int mutex_fraction = 1, std::int64_t hold = 0)
      : block_(whence::set_block_profile_rate(block_ns)),
        fraction_(whence::set_mutex_profile_fraction(mutex_fraction)),
        hold_(whence::set_mutex_hold_profile_rate(hold)) {}
  ~wait_rates() {
    whence::set_block_profile_rate(block_);
    whence::set_mutex_profile_fraction(fraction_);
    whence::set_mutex_hold_profile_rate(hold_);
  }
  wait_rates(const wait_rates&) = delete;
  wait_rates& operator=(const wait_rates&) = delete;

 private:
  std::int64_t block_;
  int fraction_;
  std::int64_t hold_;
};

struct wait_totals {
  std::int64_t count = 0, ns = 0;
  friend bool operator==(const wait_totals&, const wait_totals&) = default;
};

inline wait_totals waits_of(const whence::profile& p) {
  wait_totals t;
  for (const whence::profile_row& row : p.snapshot().rows) {
    t.count += row.values[0];
    t.ns += row.values[1];
  }
  return t;
}

// The names of a row's functions, leaf first, inlined ones included.
inline std::vector<std::string> names_of(const whence::profile_row& row) {
  std::vector<std::string> names;
  const whence::format::process_code code;
  for (std::size_t i = 0; i < row.stack.size(); ++i) {
    const std::uintptr_t pc = whence::format::lookup_address(row, i);
    if (whence::tables::is_pseudo(pc)) {
      names.emplace_back(whence::tables::pseudo_name(pc));
      continue;
    }
    for (const auto& f : code.resolve(pc).frames) names.emplace_back(f.name);
  }
  return names;
}

inline bool goes_through(const whence::profile_row& row, std::string_view function) {
  for (const std::string& name : names_of(row)) {
    if (name.find(function) != std::string::npos) return true;
  }
  return false;
}

// True for a call through a function of exactly that name, in any class: with little debug
// information (-g1), an inlined function lacks its class.
inline bool calls(const whence::profile_row& row, const std::string& function) {
  for (const std::string& name : names_of(row)) {
    if (name == function || name.ends_with("::" + function)) return true;
  }
  return false;
}

inline std::string label_of(const whence::profile_row& row, std::string_view key) {
  for (const whence::instruments::label& l : row.labels) {
    if (l.key == key) return std::string(l.value);
  }
  return {};
}

inline void sleep_ms(int count) {
  std::this_thread::sleep_for(std::chrono::milliseconds(count));
}

// Waits until a `block` profile has so many contentions, those in progress included.
inline void wait_until_waiting(const whence::profile& block, std::int64_t contentions) {
  while (waits_of(block).count < contentions)
    std::this_thread::sleep_for(std::chrono::microseconds(200));
}

// Calls attempt(time), which waits until that much later, until this was counted as a wait: on a
// loaded machine that point may pass before the wait begins, so each is twice as far as the last.
template <class Attempt>
void until_counted(const whence::profile& block, Attempt attempt) {
  const std::int64_t before = waits_of(block).count;
  for (std::chrono::milliseconds time{3}; waits_of(block).count == before; time *= 2) {
    attempt(time);
  }
}

}  // namespace whence_tests

#endif  // WHENCE_TESTS_WAIT_PROBE_HPP
