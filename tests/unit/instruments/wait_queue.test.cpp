// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include <atomic>
#include <cstdint>
#include <mutex>
#include <random>
#include <thread>
#include <vector>

#include "support/units.hpp"
#include <whence/instruments/wait_queue.hpp>
#include <whence/sys/clock.hpp>

using namespace whence;
using instruments::wait_queue;
using whence_tests::ms;

namespace {

// A clock reading is rounded down to a tick.
constexpr std::int64_t tick = wait_queue::tick_ns;

std::int64_t charged(wait_queue& q, std::int64_t now) {
  return q.charge([now] { return now; });
}
bool close(std::int64_t a, std::int64_t b, std::int64_t waiters = 1) {
  return a - b <= 2 * waiters * tick && b - a <= 2 * waiters * tick;
}

}  // namespace

TEST_CASE("an unlock is charged all waiters' time since their beginning") {
  wait_queue q;
  CHECK(q.idle());
  // Five begin 10 ms apart; 200 ms later they have waited 240 + 230 + ... + 200.
  for (int i = 0; i < 5; ++i) CHECK(q.enter((1000 + 10 * i) * ms));
  CHECK_FALSE(q.idle());
  CHECK(close(charged(q, 1240 * ms), 1100 * ms, 5));
}

TEST_CASE("no nanosecond of a waiter is charged twice, and wake-ups are not charged") {
  wait_queue q;
  q.enter(100 * ms);
  q.enter(100 * ms);
  CHECK(close(charged(q, 200 * ms), 200 * ms, 2));
  q.gain(100 * ms);  // 5 ms later in the test's time
  CHECK(close(charged(q, 230 * ms), 30 * ms));
  q.enter(240 * ms);
  CHECK(close(charged(q, 250 * ms), 20 * ms + 10 * ms, 2));
  q.gain(100 * ms);
  q.gain(240 * ms);
  CHECK(q.idle());
  CHECK(charged(q, 900 * ms) == 0);
}

TEST_CASE("the next unlock is charged, once, for a waiter that gave up") {
  wait_queue q;
  q.enter(100 * ms);
  q.give_up(130 * ms);
  CHECK_FALSE(q.idle());
  CHECK(close(charged(q, 500 * ms), 30 * ms));
  CHECK(q.idle());

  q.enter(600 * ms);
  q.enter(610 * ms);
  CHECK(close(charged(q, 620 * ms), 30 * ms, 2));
  q.give_up(650 * ms);
  q.gain(610 * ms);
  CHECK(close(charged(q, 700 * ms), 30 * ms));
  CHECK(q.idle());
}

TEST_CASE("a thread that gave up earlier than the last charge leaves nothing behind") {
  wait_queue q;
  q.enter(100 * ms);
  CHECK(close(charged(q, 200 * ms), 100 * ms));
  q.give_up(190 * ms);  // its clock was read before the charge
  CHECK(charged(q, 201 * ms) == 0);
  CHECK(q.idle());
}

TEST_CASE("after a charge the queue rests until a waiter has gained the lock") {
  wait_queue q;
  q.enter(sys::monotonic_ns());
  CHECK_FALSE(q.resting());
  q.enter(sys::monotonic_ns());
  const std::int64_t now = sys::monotonic_ns();
  charged(q, now);
  // The moment may already be over, so the test tries a few times; if all attempts fail, it fails.
  bool rested = false;
  for (int i = 0; i < 1000 && !rested; ++i) {
    charged(q, now);
    rested = q.resting();
  }
  CHECK(rested);
  charged(q, now);
  q.gain(now);
  CHECK_FALSE(q.resting());
  charged(q, now);
  while (q.resting()) {
  }
  CHECK_FALSE(q.idle());
}

TEST_CASE("the mark of a timed hold stands beside the waiters and is no wait") {
  wait_queue q;
  q.begin_hold();
  CHECK_FALSE(q.idle());
  CHECK(charged(q, 5 * ms) == 0);
  q.enter(10 * ms);
  CHECK(q.end_hold());
  CHECK_FALSE(q.end_hold());
  CHECK(close(charged(q, 20 * ms), 10 * ms));
  q.gain(10 * ms);
  CHECK(q.idle());
}

TEST_CASE("100 days of waiting between two unlocks are told right") {
  wait_queue q;
  constexpr std::int64_t day = std::int64_t{86'400'000} * ms;
  for (int i = 0; i < 1000; ++i) q.enter(day);
  CHECK(close(charged(q, day + day / 10), 1000 * (day / 10), 1000));
}

TEST_CASE("waiters beyond 16383 are not charged, and nothing is damaged") {
  wait_queue q;
  std::uint64_t entered = 0;
  for (std::uint64_t i = 0; i < wait_queue::most_waiters + 10; ++i) {
    entered += q.enter(50 * ms) ? 1U : 0U;
  }
  CHECK(entered == wait_queue::most_waiters);
  CHECK(close(charged(q, 51 * ms), static_cast<std::int64_t>(entered) * ms,
              static_cast<std::int64_t>(entered)));
  for (std::uint64_t i = 0; i < entered; ++i) q.gain(50 * ms);
  CHECK(q.idle());
}

TEST_CASE("in a child of fork no thread waits") {
  wait_queue q;
  q.enter(ms);
  q.enter(ms);
  q.begin_hold();
  q.after_fork_in_child();
  CHECK(charged(q, 100 * ms) == 0);
  CHECK(q.end_hold());
  CHECK(q.idle());
}

// Against a model that keeps every waiter's clock by itself: the sum of all charges is the sum of
// what each waiter waited up to the last charge before it gained the lock, or until it gave up.
TEST_CASE("any order of events is charged as the waiters' own clocks say") {
  std::mt19937_64 random(4711);
  wait_queue q;
  std::int64_t now = 1000 * ms;
  std::int64_t left = 0;  // pending time of waiters that gave up
  struct waiter {
    std::int64_t since, clock;
  };
  std::vector<waiter> waiting;
  std::int64_t error = 0;
  for (int i = 0; i < 100'000; ++i) {
    now += static_cast<std::int64_t>(random() % (3 * ms));
    now -= now % tick;  // so that nothing is rounded, and all is exact
    const std::size_t any = waiting.empty() ? 0 : random() % waiting.size();
    switch (random() % 5) {
      case 0:
      case 1:
        if (waiting.size() > 200) break;
        q.enter(now);
        waiting.push_back({now, now});
        break;
      case 2:
        if (waiting.empty()) break;
        q.gain(waiting[any].since);
        waiting.erase(waiting.begin() + static_cast<std::ptrdiff_t>(any));
        break;
      case 3:
        if (waiting.empty() || random() % 4 != 0) break;
        q.give_up(now);
        left += now - waiting[any].clock;
        waiting.erase(waiting.begin() + static_cast<std::ptrdiff_t>(any));
        break;
      case 4: {
        std::int64_t expected = left;
        for (waiter& w : waiting) {
          expected += now - w.clock;
          w.clock = now;
        }
        left = 0;
        error += charged(q, now) == expected ? 0 : 1;
        break;
      }
      default:
        break;
    }
  }
  CHECK(error == 0);
}

// A waiter that comes between a charge's two readings, or charges at the same time, is charged only
// for its own wait.
TEST_CASE("a charge that is delayed between its readings counts only time of waiters") {
  wait_queue late;
  late.enter(100 * ms);
  bool came = false;
  const std::int64_t first = late.charge([&] {
    if (!came) late.enter(104 * ms);  // while the charging thread has no processor
    came = true;
    return 104 * ms;
  });
  CHECK(close(first, 4 * ms));
  CHECK(close(charged(late, 105 * ms), 2 * ms, 2));
  late.gain(104 * ms);
  late.gain(100 * ms);
  CHECK(late.idle());

  wait_queue shared;
  for (int i = 0; i < 10; ++i) shared.enter(100 * ms);
  std::int64_t inner = 0;
  const std::int64_t outer = shared.charge([&] {
    if (inner == 0) inner = charged(shared, 130 * ms);
    return 130 * ms;
  });
  CHECK(close(inner + outer, 300 * ms, 10));
  CHECK(charged(shared, 130 * ms) == 0);
}

// Invariant: with real threads behind a real lock, no more is charged than was waited, and the
// queue is idle when all have gone.
TEST_CASE("threads that come and go leave an idle queue") {
  wait_queue q;
  std::mutex m;
  std::atomic<std::int64_t> waited{0}, charged_in_all{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 5000; ++i) {
        if (!m.try_lock()) {
          const std::int64_t since = sys::monotonic_ns();
          q.enter(since);
          m.lock();
          const std::int64_t now = sys::monotonic_ns();
          q.gain(since);
          waited += now - since + tick;
        }
        if (!q.idle()) charged_in_all += q.charge(&sys::monotonic_ns);
        m.unlock();
      }
    });
  }
  for (auto& t : threads) t.join();
  charged_in_all += charged(q, sys::monotonic_ns());
  CHECK(q.idle());
  CHECK(charged_in_all <= waited);
}
