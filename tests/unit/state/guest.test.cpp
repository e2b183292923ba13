// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include <cstddef>

#include <whence/state/guest.hpp>
#include <whence/state/process_state.hpp>

using namespace whence;

namespace {

int forks = 0, births = 0;
void count_fork(state::process_state&) noexcept {
  ++forks;
}
void count_birth(state::process_state&) noexcept {
  ++births;
}
std::size_t two(const state::process_state&) {
  return 2;
}
std::size_t three(const state::process_state&) {
  return 3;
}

}  // namespace

TEST_CASE("each guest's function is called once, however often its part enters") {
  static constexpr state::guest first{.before_fork = &count_fork, .count = &two};
  static constexpr state::guest second{.on_thread_start = &count_birth, .count = &three};
  state::guest_list guests;
  state::process_state& s = state::own_state;  // the guests do not look at it
  guests.call(&state::guest::before_fork, s);
  CHECK(guests.count(s) == 0);
  CHECK_FALSE(guests.has(state::guest_list::coroutines));
  for (int i = 0; i < 3; ++i) guests.enter(state::guest_list::coroutines, first);
  guests.enter(state::guest_list::dumper, second);
  CHECK(guests.has(state::guest_list::coroutines));
  guests.call(&state::guest::before_fork, s);
  guests.call(&state::guest::on_thread_start, s);
  guests.call(&state::guest::after_fork, s);
  CHECK(forks == 1);
  CHECK(births == 1);
  CHECK(guests.count(s) == 5);
}

TEST_CASE("of two modules with the same part, the first one's functions are called") {
  static constexpr state::guest first{.count = &two};
  static constexpr state::guest second{.count = &three};
  state::guest_list guests;
  guests.enter(state::guest_list::dumper, first);
  guests.enter(state::guest_list::dumper, second);
  CHECK(guests.count(state::own_state) == 2);
}
