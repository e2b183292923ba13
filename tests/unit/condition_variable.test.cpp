// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <stop_token>
#include <thread>

#include "support/wait_probe.hpp"
#include <whence/condition_variable.hpp>
#include <whence/mutex.hpp>
#include <whence/profile.hpp>

using namespace whence;
using namespace std::chrono_literals;
using whence_tests::label_of;
using whence_tests::ms;
using whence_tests::own;
using whence_tests::sleep_ms;
using whence_tests::wait_rates;
using whence_tests::waits_of;

namespace {

static_assert(sizeof(basic_tracked_condition_variable<null_registry>) ==
              sizeof(std::condition_variable_any));

}  // namespace

TEST_CASE("a wait lasts from the lock's release to the notification, and shows at the wait call") {
  const wait_rates every(1);
  using r = own<"cv.wait">;
  basic_tracked_condition_variable<r> ready{"ready"};
  tracked_mutex<std::mutex, r> m{"m"};
  bool done = false;
  std::thread waiter([&] {
    std::unique_lock hold(m);
    ready.wait(hold, [&] { return done; });
  });
  whence_tests::wait_until_waiting(r::block(), 1);
  sleep_ms(10);
  {
    std::lock_guard hold(m);
    done = true;
    ready.notify_all();
    // The waiter is awake and wants the lock: now that is its wait, not the variable.
    whence_tests::wait_until_waiting(r::block(), 2);
    sleep_ms(1);
  }
  waiter.join();
  std::int64_t waited = 0, relocked = 0;
  for (const profile_row& row : r::block().snapshot().rows) {
    if (label_of(row, "wait") == "ready") {
      CHECK(whence_tests::names_of(row)[0].find("wait") != std::string::npos);
      waited += row.values[1];
    } else {
      CHECK(label_of(row, "lock") == "m");
      relocked += row.values[1];
    }
  }
  CHECK(waited >= 10 * ms);
  CHECK(relocked > 0);
  const auto mutex = waits_of(r::mutex());
  CHECK(mutex.ns > 0);
  CHECK(mutex.ns <= relocked);
}

TEST_CASE("every way to wait: time-outs, predicates, stop tokens, any lock") {
  const wait_rates every(1);
  using r = own<"cv.ways">;
  basic_tracked_condition_variable<r> c;
  std::mutex plain;
  std::unique_lock hold(plain);
  const auto never = [] { return false; };
  const auto soon = [] { return std::chrono::steady_clock::now() + 2ms; };
  const auto start = std::chrono::steady_clock::now();
  CHECK(c.wait_for(hold, 2ms) == std::cv_status::timeout);
  CHECK(c.wait_until(hold, soon()) == std::cv_status::timeout);
  CHECK_FALSE(c.wait_for(hold, 2ms, never));
  CHECK_FALSE(c.wait_until(hold, soon(), never));
  std::stop_source stop;
  CHECK_FALSE(c.wait_for(hold, stop.get_token(), 2ms, never));
  CHECK_FALSE(c.wait_until(hold, stop.get_token(), soon(), never));
  CHECK(waits_of(r::block()).count == 6);
  const std::chrono::nanoseconds all = std::chrono::steady_clock::now() - start;
  CHECK(waits_of(r::block()).ns > 0);
  CHECK(waits_of(r::block()).ns <= all.count());

  c.wait(hold, [] { return true; });  // does not wait
  stop.request_stop();
  CHECK_FALSE(c.wait(hold, stop.get_token(), never));
  CHECK(waits_of(r::block()).count == 6);
  CHECK(hold.owns_lock());

  tracked_mutex<std::recursive_mutex, r> recursive;
  std::unique_lock other(recursive);
  CHECK(c.wait_for(other, 1ms) == std::cv_status::timeout);
  CHECK(waits_of(r::block()).count == 7);
}

TEST_CASE("a stop request ends a wait") {
  const wait_rates every(1);
  using r = own<"cv.stop">;
  basic_tracked_condition_variable<r> c;
  tracked_mutex<std::mutex, r> m;
  std::jthread waiter([&](std::stop_token stop) {
    std::unique_lock hold(m);
    CHECK_FALSE(c.wait(hold, stop, [] { return false; }));
    CHECK(hold.owns_lock());
  });
  whence_tests::wait_until_waiting(r::block(), 1);
  waiter.request_stop();
  waiter.join();
  CHECK(waits_of(r::block()).count == 1);
}
