// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include <atomic>
#include <barrier>
#include <chrono>
#include <future>
#include <latch>
#include <semaphore>
#include <stdexcept>
#include <string>
#include <string_view>
#include <thread>
#include <type_traits>
#include <vector>

#include "support/wait_probe.hpp"
#include <whence/mutex.hpp>
#include <whence/profile.hpp>
#include <whence/sync.hpp>

using namespace whence;
using namespace std::chrono_literals;
using whence_tests::calls;
using whence_tests::label_of;
using whence_tests::ms;
using whence_tests::own;
using whence_tests::sleep_ms;
using whence_tests::until_counted;
using whence_tests::wait_rates;
using whence_tests::waits_of;

namespace {

static_assert(sizeof(basic_tracked_counting_semaphore<5, null_registry>) ==
              sizeof(std::counting_semaphore<5>));
static_assert(sizeof(basic_tracked_latch<null_registry>) == sizeof(std::latch));
static_assert(sizeof(basic_tracked_future<int, null_registry>) == sizeof(std::future<int>));
static_assert(sizeof(basic_tracked_shared_future<int, null_registry>) ==
              sizeof(std::shared_future<int>));
static_assert(std::is_empty_v<basic_blocking_scope<null_registry>>);
static_assert(tracked_counting_semaphore<7>::max() == std::counting_semaphore<7>::max());

// std's type can do it: GCC 12's semaphore cannot.
constinit tracked_latch latch_at_compile_time{"constant", 1};
constinit basic_tracked_latch<null_registry> null_at_compile_time(1);

// The time waited for `name`, all rows of its label together.
std::int64_t waited(const profile& block, const std::string& name) {
  std::int64_t ns = 0;
  for (const profile_row& row : block.snapshot().rows) {
    if (label_of(row, "wait") == name) ns += row.values[1];
  }
  return ns;
}

}  // namespace

TEST_CASE("semaphores: an available permit is no wait") {
  const wait_rates every(1);
  using r = own<"sync.semaphore">;
  basic_tracked_counting_semaphore<5, r> s("slots", 2);
  s.acquire();
  CHECK(s.try_acquire_for(10s));
  CHECK_FALSE(s.try_acquire());
  CHECK_FALSE(s.try_acquire_for(0s));
  CHECK_FALSE(s.try_acquire_until(std::chrono::steady_clock::now()));
  CHECK(waits_of(r::block()).count == 0);
  CHECK_FALSE(s.try_acquire_for(3ms));
  CHECK(waits_of(r::block()).count == 1);
  CHECK(waited(r::block(), "slots") >= 3 * ms);
  until_counted(r::block(), [&s](auto time) {
    CHECK_FALSE(s.try_acquire_until(std::chrono::steady_clock::now() + time));
  });
  CHECK(waits_of(r::block()).count == 2);
  std::thread waiter([&s] { s.acquire(); });
  whence_tests::wait_until_waiting(r::block(), 3);
  s.release();
  waiter.join();
  CHECK(waits_of(r::block()).count == 3);
  CHECK(waits_of(r::mutex()).count == 0);
}

TEST_CASE("constants are ready before any code runs") {
  latch_at_compile_time.arrive_and_wait();
  null_at_compile_time.arrive_and_wait();
  CHECK(latch_at_compile_time.try_wait());
}

TEST_CASE("a latch: a late thread does not wait") {
  const wait_rates every(1);
  using r = own<"sync.latch">;
  basic_tracked_latch<r> l("start", 2);
  std::thread waiter([&l] { l.arrive_and_wait(); });
  whence_tests::wait_until_waiting(r::block(), 1);
  sleep_ms(5);
  CHECK_FALSE(l.try_wait());
  l.count_down();
  waiter.join();
  l.wait();
  CHECK(waits_of(r::block()).count == 1);
  CHECK(waited(r::block(), "start") >= 5 * ms);
}

TEST_CASE("a barrier: early threads wait, a thread that drops out completes without a wait") {
  const wait_rates every(1);
  using r = own<"sync.barrier">;
  std::atomic<int> completed{0};
  const auto complete = [&completed]() noexcept {
    sleep_ms(20);
    ++completed;
  };
  basic_tracked_barrier<decltype(complete), r> b("round", 2, complete);
  std::thread early([&b] { b.arrive_and_wait(); });
  whence_tests::wait_until_waiting(r::block(), 1);
  sleep_ms(5);
  b.arrive_and_drop();  // completes the phase
  early.join();
  CHECK(completed == 1);
  CHECK(waits_of(r::block()).count == 1);
  CHECK(waited(r::block(), "round") >= 5 * ms);
  basic_tracked_barrier<instruments::no_completion, r> alone("alone", 1);
  alone.wait(alone.arrive());
  CHECK(waited(r::block(), "alone") < 5'000 * ms);
}

TEST_CASE("futures: waiting for a value, an exception, a time-out; a deferred one is no wait") {
  const wait_rates every(1);
  using r = own<"sync.future">;
  const auto asked = [](auto f) { return basic_tracked_future<int, r>(std::move(f)); };
  std::promise<void> asked_for;
  auto value = asked(std::async(std::launch::async, [&asked_for] {
    asked_for.get_future().wait();
    return 5;
  }));
  CHECK(value.valid());
  CHECK(value.wait_for(0s) == std::future_status::timeout);
  CHECK(waits_of(r::block()).count == 0);
  CHECK(value.wait_for(1ms) == std::future_status::timeout);
  std::thread answer([&] {
    whence_tests::wait_until_waiting(r::block(), 2);
    asked_for.set_value();
  });
  CHECK(value.get() == 5);
  answer.join();
  CHECK_FALSE(value.valid());
  CHECK(waits_of(r::block()).count == 2);
  CHECK_THROWS_AS(value.get(), std::future_error);

  auto deferred = asked(std::async(std::launch::deferred, [] { return 6; }));
  CHECK(deferred.wait_for(10s) == std::future_status::deferred);
  CHECK(deferred.get() == 6);
  std::promise<int> promise;
  promise.set_exception(std::make_exception_ptr(std::runtime_error("no")));
  auto broken = asked(promise.get_future());
  CHECK_THROWS_AS(broken.get(), std::runtime_error);
  CHECK(waits_of(r::block()).count == 2);

  std::promise<int> later;
  basic_tracked_shared_future<int, r> shared = asked(later.get_future()).share();
  std::thread waiter([copy = shared] { CHECK(copy.get() == 7); });
  whence_tests::wait_until_waiting(r::block(), 3);
  later.set_value(7);
  waiter.join();
  CHECK(shared.get() == 7);
  CHECK(waits_of(r::block()).count == 3);
  bool through_get = false;
  for (const profile_row& row : r::block().snapshot().rows) {
    through_get = through_get || calls(row, "get");
  }
  CHECK(through_get);

  int n = 5;
  std::promise<int&> reference;
  reference.set_value(n);
  basic_tracked_future by_reference = reference.get_future();
  CHECK(&by_reference.get() == &n);
  std::promise<void> nothing;
  nothing.set_value();
  basic_tracked_future done = nothing.get_future();
  done.get();
}

TEST_CASE("a name may be text made at run time, and is copied; the arguments follow it") {
  const wait_rates every(1);
  using r = own<"sync.names">;
  const auto made = [](const char* kind) { return std::string(kind) + " of shard 7"; };
  basic_tracked_counting_semaphore<1, r> s(made("semaphore"), 0);
  CHECK_FALSE(s.try_acquire_for(2ms));
  CHECK(waited(r::block(), "semaphore of shard 7") >= 2 * ms);

  basic_tracked_barrier<instruments::no_completion, r> b(made("barrier"), 1);
  b.arrive_and_wait();
  CHECK(waited(r::block(), "barrier of shard 7") > 0);

  // A part of a text has no zero at its end.
  std::string both = "latchsuffix";
  basic_tracked_latch<r> l(std::string_view(both).substr(0, 5), 1);
  both.assign(both.size(), '?');
  std::thread waiter([&l] { l.wait(); });
  whence_tests::wait_until_waiting(r::block(), 3);
  l.count_down();
  waiter.join();
  CHECK(waited(r::block(), "latch") > 0);
  { const basic_blocking_scope<r> scope(made("scope")); }
  CHECK(waited(r::block(), "scope of shard 7") > 0);
}

TEST_CASE("a future has a name too, which is moved, shared and copied with it") {
  const wait_rates every(1);
  using r = own<"sync.named_future">;
  std::promise<int> promise;
  basic_tracked_future<int, r> first{std::string("answer"), promise.get_future()};
  CHECK(first.wait_for(2ms) == std::future_status::timeout);
  basic_tracked_future<int, r> moved = std::move(first);
  CHECK(moved.wait_for(2ms) == std::future_status::timeout);
  basic_tracked_shared_future<int, r> shared = moved.share();
  CHECK_FALSE(moved.valid());
  const auto copy = shared;
  CHECK(copy.wait_for(2ms) == std::future_status::timeout);
  CHECK(waits_of(r::block()).count == 3);
  CHECK(waited(r::block(), "answer") >= 6 * ms);

  std::promise<int> other;
  const basic_tracked_shared_future<int, r> named{"shared", other.get_future()};
  CHECK(named.wait_for(2ms) == std::future_status::timeout);
  CHECK(waited(r::block(), "shared") >= 2 * ms);

  std::promise<int> unseen;
  const basic_tracked_shared_future<int, null_registry> plain{"unseen", unseen.get_future()};
  unseen.set_value(8);
  CHECK(plain.get() == 8);
}

TEST_CASE("a blocking_scope is one wait, locks inside add no other") {
  const wait_rates every(1);
  using r = own<"sync.scope">;
  tracked_mutex<std::timed_mutex, r> m;
  m.lock();
  std::thread([&] {
    basic_blocking_scope<r> reply("redis");
    sleep_ms(3);
    CHECK_FALSE(m.try_lock_for(3ms));
  }).join();
  m.unlock();
  CHECK(waits_of(r::block()).count == 1);
  CHECK(waited(r::block(), "redis") >= 6 * ms);
  CHECK(waits_of(r::mutex()).ns >= 3 * ms);  // but the holder is charged
  try {
    const basic_blocking_scope<r> failing;
    throw 1;
  } catch (int) {
  }
  CHECK(waits_of(r::block()).count == 2);
  bool leaf = false;
  for (const profile_row& row : r::block().snapshot().rows) {
    leaf = leaf || whence_tests::names_of(row)[0].find("blocking_scope") != std::string::npos;
  }
  CHECK(leaf);
}
