// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>
#include <unistd.h>

#include <cstdint>

#include "support/units.hpp"
#include <whence/samplers/cpu_thread.hpp>

using namespace whence;
using samplers::cpu_thread;
using whence_tests::ms;

namespace {

constexpr std::int64_t tick = 4 * ms;

// A thread with a counter, which has used `used` and whose samples stand for `explained`.
void set_up(cpu_thread& t, std::int64_t used, std::int64_t explained) {
  t.timer_ns = tick;
  t.counted_from_ns = sys::clock_ns(CLOCK_THREAD_CPUTIME_ID) - used;
  t.explained_ns = explained;
}

}  // namespace

TEST_CASE("a signal of one tick always stands for a tick") {
  cpu_thread t;
  set_up(t, 100 * ms, 200 * ms);
  CHECK(t.left_of(tick) == tick);
}

// A thread that competes for its processor may run for long and never at a tick.
TEST_CASE("a signal after many missed ticks stands for what the counter has not seen") {
  cpu_thread t;
  set_up(t, 400 * ms, 370 * ms);
  const std::int64_t left = t.left_of(100 * tick);
  CHECK(left >= 30 * ms);
  CHECK(left < 60 * ms);  // the test runs on meanwhile
  set_up(t, 400 * ms, 400 * ms);
  CHECK(t.left_of(100 * tick) < 30 * ms);
  set_up(t, 400 * ms, 900 * ms);
  CHECK(t.left_of(100 * tick) == tick);
  set_up(t, 900 * ms, 0);
  CHECK(t.left_of(10 * tick) == 10 * tick);
}
