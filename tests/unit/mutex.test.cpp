// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include <atomic>
#include <chrono>
#include <cmath>
#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <set>
#include <shared_mutex>
#include <string>
#include <system_error>
#include <thread>
#include <type_traits>
#include <utility>
#include <vector>

#include "support/sanitizers.hpp"
#include "support/wait_probe.hpp"
#include <whence/knobs.hpp>
#include <whence/mutex.hpp>
#include <whence/profile.hpp>
#include <whence/record/lock.hpp>

using namespace whence;
using whence_tests::calls;
using whence_tests::goes_through;
using whence_tests::label_of;
using whence_tests::ms;
using whence_tests::own;
using whence_tests::sleep_ms;
using whence_tests::wait_rates;
using whence_tests::waits_of;

namespace {

// Locks `held` and releases it after `waiters` threads have waited for it for `length` milliseconds
// more. On an idle machine the last one waits little more; a busy machine may add any time, so
// tests compare the two profiles with each other, and with lower bounds.
template <class Lock, class Wait>
void hold_up(Lock& held, const profile& block, int waiters, int length, Wait wait) {
  std::vector<std::thread> threads;
  const std::int64_t before = waits_of(block).count;
  held.lock();
  for (int i = 0; i < waiters; ++i) threads.emplace_back(wait);
  whence_tests::wait_until_waiting(block, before + waiters);
  sleep_ms(length);
  held.unlock();
  for (auto& t : threads) t.join();
}

struct basic_lockable {
  void lock() { m.lock(); }
  void unlock() { m.unlock(); }
  std::mutex m;
};

struct failing {
  void lock() {
    throw std::system_error(std::make_error_code(std::errc::resource_deadlock_would_occur));
  }
  bool try_lock() { return false; }
  void unlock() {}
};

struct final_basic final {
  void lock() {}
  void unlock() {}
};

// Reader-writer and timed locks without std's try functions.
struct untried {
  void lock() { m.lock(); }
  void unlock() { m.unlock(); }
  template <class Duration>
  bool try_lock_for(const Duration& d) {
    return m.try_lock_for(d);
  }
  template <class Time>
  bool try_lock_until(const Time& t) {
    return m.try_lock_until(t);
  }
  void lock_shared() { m.lock_shared(); }
  void unlock_shared() { m.unlock_shared(); }
  std::shared_timed_mutex m;
};

struct final_mutex final {
  void lock() {}
  bool try_lock() { return true; }
  void unlock() {}
};

template <class M>
concept timed = requires(M& m) {
  m.try_lock_for(std::chrono::seconds(1));
  m.try_lock_until(std::chrono::steady_clock::now());
};
template <class M>
concept shared = requires(M& m) {
  m.lock_shared();
  m.try_lock_shared();
  m.unlock_shared();
};
template <class M>
concept shared_timed = requires(M& m) {
  m.try_lock_shared_for(std::chrono::seconds(1));
  m.try_lock_shared_until(std::chrono::steady_clock::now());
};
template <class M>
concept tryable = requires(M& m) {
  m.try_lock();
};
template <class M>
concept with_handle = requires(M& m) {
  m.native_handle();
};

template <class M, class T>
constexpr bool offers_the_same =
    tryable<M> == tryable<T>&& timed<M> == timed<T>&& shared<M> == shared<T>&& shared_timed<M> ==
    shared_timed<T>&& with_handle<M> == with_handle<T>;
template <class M>
constexpr bool as_upstream =
    offers_the_same<M, tracked_mutex<M>>&& offers_the_same<M, tracked_mutex<M, null_registry>> &&
    sizeof(tracked_mutex<M, null_registry>) == sizeof(M);
static_assert(as_upstream<std::mutex> && as_upstream<std::timed_mutex> &&
              as_upstream<std::recursive_mutex> && as_upstream<std::recursive_timed_mutex> &&
              as_upstream<std::shared_mutex> && as_upstream<std::shared_timed_mutex> &&
              as_upstream<basic_lockable> && as_upstream<failing> && as_upstream<final_mutex> &&
              as_upstream<untried> && as_upstream<final_basic>);
static_assert(as_upstream<sys::futex_mutex>);
static_assert(sizeof(tracked_mutex<>) == sizeof(std::mutex) + 72 && sizeof(mutex) == 80);
static_assert(!std::is_copy_constructible_v<tracked_mutex<>> &&
              !std::is_move_constructible_v<tracked_mutex<>>);

constinit tracked_mutex<> named_at_compile_time{"constant"};

}  // namespace

// 100 waiters wait at least 100 ms each; the profiles allow 10 % for the times until all waited and
// until each was woken, which a loaded machine prolongs: so the clock gives no upper bound. The
// profiles must agree, waiter by waiter.
TEST_CASE("100 threads that wait 100 ms behind one holder are 10 s, charged to its unlock") {
  const wait_rates every(1);
  using r = own<"mutex.hundred">;
  tracked_mutex<std::mutex, r> m{"hundred"};
  hold_up(m, r::block(), 100, 100, [&m] { std::lock_guard hold(m); });

  const auto block = waits_of(r::block());
  CHECK(block.count == 100);
  CHECK(block.ns >= 100 * 100 * ms);
  std::int64_t holders = 0;
  CHECK(!r::mutex().snapshot().rows.empty());
  for (const profile_row& row : r::mutex().snapshot().rows) {
    CHECK(label_of(row, "lock") == "hundred");
    CHECK(row.number <= row.values[1] / row.values[0]);
    CHECK(2 * row.number > row.values[1] / row.values[0] / 2);
    if (goes_through(row, "hold_up")) holders += row.values[1];
  }
  CHECK(holders >= 100 * 100 * ms);
  // Every nanosecond waited is charged to at most one unlock, and all except the wake-ups to one.
  const auto mutex = waits_of(r::mutex());
  CHECK(mutex.ns <= block.ns);
  CHECK(static_cast<double>(mutex.ns) >= 0.9 * static_cast<double>(block.ns));
  CHECK(!r::block().snapshot().rows.empty());
  for (const profile_row& row : r::block().snapshot().rows) {
    CHECK(calls(row, "lock"));
    CHECK(label_of(row, "lock") == "hundred");
  }
}

TEST_CASE("5 waiters of 200 ms are a second, not 0.2 s") {
  const wait_rates every(1);
  using r = own<"mutex.five">;
  tracked_mutex<std::mutex, r> m;
  hold_up(m, r::block(), 5, 200, [&m] { std::lock_guard hold(m); });
  std::int64_t largest = 0;
  for (const profile_row& row : r::mutex().snapshot().rows) {
    if (row.values[1] > largest) largest = row.values[1];
  }
  CHECK(largest >= 1000 * ms);
  CHECK(largest <= waits_of(r::block()).ns);
}

TEST_CASE("an uncontended lock is no event, and its hold is one if all are timed") {
  const wait_rates every(1, 1, 1);
  using r = own<"mutex.alone">;
  tracked_mutex<std::mutex, r> m{"alone"};
  for (int i = 0; i < 10; ++i) {
    std::lock_guard hold(m);
    sleep_ms(1);
  }
  REQUIRE(m.try_lock());
  m.unlock();
  CHECK(waits_of(r::block()).count == 0);
  CHECK(waits_of(r::mutex()).count == 0);
  const auto holds = waits_of(r::mutex_hold());
  CHECK(holds.count == 11);
  CHECK(holds.ns >= 10 * ms);
  CHECK(!r::mutex_hold().snapshot().rows.empty());
  for (const profile_row& row : r::mutex_hold().snapshot().rows) {
    CHECK(label_of(row, "lock") == "alone");
    CHECK(goes_through(row, "unlock"));
  }
}

// If n locks have rate R, n (1 - exp(-1/R)) of them are timed on average, each standing for the
// inverse; the relative standard deviation is below sqrt(R / n) = 1 %, the bound 5 of them.
TEST_CASE("a sample of the holds stands for all of them") {
  const wait_rates every(1, 1, 10);
  using r = own<"mutex.holds">;
  tracked_mutex<std::mutex, r> m;
  for (int i = 0; i < 100'000; ++i) {
    m.lock();
    m.unlock();
  }
  CHECK(std::abs(static_cast<double>(waits_of(r::mutex_hold()).count) / 100e3 - 1) < 0.05);
}

TEST_CASE("a new hold rate reaches a lock that was not timed within its next 1000 locks") {
  const wait_rates off(1, 1, 0);
  using r = own<"mutex.retimed">;
  tracked_mutex<std::mutex, r> m;
  const auto use = [&m](int times) {
    for (int i = 0; i < times; ++i) {
      m.lock();
      m.unlock();
    }
  };
  use(10);
  set_mutex_hold_profile_rate(1);
  use(1000 + 50);
  const auto timed = waits_of(r::mutex_hold()).count;
  CHECK(timed >= 50);
  CHECK(timed <= 60);
  set_mutex_hold_profile_rate(0);
  use(1);
  CHECK(waits_of(r::mutex_hold()).count == timed + 1);  // drawn before
  use(5000);
  CHECK(waits_of(r::mutex_hold()).count == timed + 1);
}

TEST_CASE("a fraction of the contentions counts for all, each at the fraction of its time") {
  const wait_rates every(1);
  using r = own<"mutex.fraction">;
  CHECK(set_mutex_profile_fraction(-5) == 1);
  tracked_mutex<std::mutex, r> m;
  const auto contend = [&m] { hold_up(m, r::block(), 1, 0, [&m] { std::lock_guard hold(m); }); };
  contend();
  CHECK(waits_of(r::mutex()).count == 1);
  CHECK(set_mutex_profile_fraction(0) == 1);
  contend();
  const auto before = waits_of(r::mutex());
  CHECK(before.count == 1);
  CHECK(set_mutex_profile_fraction(4) == 0);
  // 400 contentions at 1 in 4 count 400, with a standard deviation of 35; the bounds are 5 of them.
  for (int i = 0; i < 400; ++i) contend();
  const auto after = waits_of(r::mutex());
  CHECK((after.count - before.count) % 4 == 0);
  CHECK(after.count - before.count > 225);
  CHECK(after.count - before.count < 575);
  for (const int n : {1, 0, INT32_MAX, 1000}) {
    set_mutex_profile_fraction(n);
    CHECK(waits_of(r::mutex()) == after);
  }
  CHECK(set_mutex_profile_fraction(1) == 1000);
}

TEST_CASE("timed locks: acquired in time, timed out, and without a wait") {
  const wait_rates every(1);
  using r = own<"mutex.timed">;
  tracked_mutex<std::timed_mutex, r> m;
  m.lock();
  const auto elsewhere = [](auto body) { std::thread(body).join(); };
  elsewhere([&] {
    CHECK_FALSE(m.try_lock());
    CHECK_FALSE(m.try_lock_for(std::chrono::milliseconds(0)));
    CHECK_FALSE(m.try_lock_for(std::chrono::milliseconds(-5)));
    CHECK_FALSE(m.try_lock_until(std::chrono::steady_clock::now()));
  });
  CHECK(waits_of(r::block()).count == 0);
  elsewhere([&] {
    CHECK_FALSE(m.try_lock_for(std::chrono::milliseconds(5)));
    whence_tests::until_counted(r::block(), [&m](auto time) {
      CHECK_FALSE(m.try_lock_until(std::chrono::system_clock::now() + time));
    });
  });
  const auto block = waits_of(r::block());
  CHECK(block.count == 2);
  CHECK(block.ns >= 5 * ms);
  CHECK(waits_of(r::mutex()).count == 0);
  m.unlock();  // charged for the waiters that gave up
  const auto mutex = waits_of(r::mutex());
  CHECK(mutex.count == 1);
  CHECK(mutex.ns >= 5 * ms - 1000);
  CHECK(mutex.ns <= block.ns + 1000);
  elsewhere([&] {
    CHECK(m.try_lock_for(std::chrono::seconds(10)));
    m.unlock();
  });
  CHECK(waits_of(r::block()) == block);
}

TEST_CASE(
    "shared locks: readers wait for a writer, a writer for readers, readers not for readers") {
  const wait_rates every(1);
  using r = own<"mutex.shared">;
  tracked_mutex<std::shared_timed_mutex, r> m{"shared"};
  {
    std::shared_lock a(m);
    std::thread([&m] { std::shared_lock b(m); }).join();
  }
  CHECK(waits_of(r::block()).count == 0);

  hold_up(m, r::block(), 3, 20, [&m] { std::shared_lock hold(m); });
  const auto readers = waits_of(r::block());
  CHECK(readers.count == 3);
  const auto writer = waits_of(r::mutex());
  CHECK(writer.ns >= 3 * 20 * ms);
  CHECK(writer.ns <= readers.ns);

  struct as_reader {
    decltype(m)& it;
    void lock() { it.lock_shared(); }
    void unlock() { it.unlock_shared(); }
  } reader{m};
  hold_up(reader, r::block(), 1, 20, [&m] { std::lock_guard hold(m); });
  CHECK(waits_of(r::block()).count == 4);
  std::int64_t charged = 0;
  for (const profile_row& row : r::mutex().snapshot().rows) {
    if (goes_through(row, "unlock_shared")) charged += row.values[1];
  }
  CHECK(charged >= 20 * ms);
  bool late = true;
  m.lock();
  std::thread([&] { late = m.try_lock_shared_for(std::chrono::milliseconds(2)); }).join();
  CHECK_FALSE(late);
  m.unlock();
}

TEST_CASE("a recursive lock: only its outermost unlock is charged, and only its hold is timed") {
  const wait_rates every(1, 1, 1);
  using r = own<"mutex.recursive">;
  tracked_mutex<std::recursive_mutex, r> m;
  struct nested {
    decltype(m)& it;
    void lock() {
      it.lock();
      it.lock();
    }
    void unlock() {
      it.unlock();
      CHECK(waits_of(r::mutex()).count == 0);
      CHECK(waits_of(r::mutex_hold()).count == 0);
      sleep_ms(1);
      it.unlock();
    }
  } twice{m};
  hold_up(twice, r::block(), 1, 5, [&m] { std::lock_guard hold(m); });
  CHECK(waits_of(r::block()).count == 1);
  CHECK(waits_of(r::mutex()).count == 1);
  CHECK(waits_of(r::mutex_hold()).count == 2);
}

TEST_CASE("unlocking another thread's recursive lock does nothing, as with std's") {
  const wait_rates every(1, 1, 1);
  if (sanitized) return;  // ThreadSanitizer reports the misuse
  using r = own<"mutex.unheld">;
  tracked_mutex<std::recursive_mutex, r> m;
  m.lock();
  std::thread([&m] { m.unlock(); }).join();
  bool had = true;
  std::thread([&] { had = m.try_lock(); }).join();
  CHECK_FALSE(had);
  m.unlock();
  for (int i = 0; i < 3; ++i) std::lock_guard hold(m);
  CHECK(waits_of(r::mutex_hold()).count >= 3);
}

TEST_CASE("a lock without try_lock is watched too") {
  const wait_rates every(1);
  using r = own<"mutex.basic">;
  tracked_mutex<basic_lockable, r> m{"basic"};
  hold_up(m, r::block(), 2, 10, [&m] { std::lock_guard hold(m); });
  CHECK(waits_of(r::block()).count == 2);
  CHECK(waits_of(r::mutex()).ns >= 20 * ms);
}

TEST_CASE("a lock whose modes have no try functions offers these modes") {
  const wait_rates every(1);
  using r = own<"mutex.untried">;
  tracked_mutex<untried, r> m;
  m.lock();
  std::thread([&m] { CHECK_FALSE(m.try_lock_for(std::chrono::milliseconds(2))); }).join();
  CHECK(waits_of(r::block()).count == 1);
  m.unlock();
  CHECK(m.try_lock_for(std::chrono::seconds(0)));
  m.unlock();
  for (int i = 0; i < 3; ++i) {
    m.lock_shared();
    m.unlock_shared();
  }
  CHECK(waits_of(r::block()).count == 1);
}

TEST_CASE("exceptions of the lock pass through and leave no event") {
  const wait_rates every(1);
  using r = own<"mutex.failing">;
  tracked_mutex<failing, r> m;
  for (int i = 0; i < 3; ++i) CHECK_THROWS_AS(m.lock(), std::system_error);
  CHECK(waits_of(r::block()).count == 0);
  m.unlock();
  CHECK(waits_of(r::mutex()).count == 0);
}

// The usual pattern: the thread that leaves last (it learns this under the lock) destroys the lock
// after its unlock, while the other may not have returned from its own. Sanitizers detect a late
// access.
TEST_CASE("a lock may be destroyed right after its unlock, and its events stay") {
  const wait_rates every(1, 1, 1);
  using r = own<"mutex.destroyed">;
  struct shared {
    tracked_mutex<std::mutex, r> m{"destroyed"};
    int users = 2;
  };
  const auto leave = [](shared* it) {
    it->m.lock();
    const bool last = --it->users == 0;
    it->m.unlock();
    if (last) delete it;
  };
  for (int i = 0; i < 300; ++i) {
    auto* const it = new shared;
    std::atomic<bool> go{false};
    std::thread other([&] {
      go = true;
      leave(it);
    });
    while (!go) std::this_thread::yield();
    leave(it);
    other.join();
  }
  const auto rows = r::mutex_hold().snapshot().rows;
  REQUIRE(!rows.empty());
  for (const profile_row& row : rows) CHECK(label_of(row, "lock") == "destroyed");
  CHECK(waits_of(r::mutex_hold()).count == 600);
}

TEST_CASE("huge fractions and rates do not make sums wrap") {
  using r = own<"mutex.huge">;
  constexpr std::int64_t most = std::int64_t{1} << 53;
  record::record_lock(r::mutex(), {1, 0, 0}, 1'000'000, INT64_MAX / 2, __builtin_return_address(0));
  CHECK(waits_of(r::mutex()) == whence_tests::wait_totals{1'000'000, most});
}

TEST_CASE("whence::mutex records like every lock, and excludes") {
  const wait_rates every(1, 1, 1);
  using r = own<"mutex.own">;
  basic_mutex<r> m{"own"};
  hold_up(m, r::block(), 3, 10, [&m] { std::lock_guard hold(m); });
  CHECK(waits_of(r::block()).count == 3);
  CHECK(waits_of(r::mutex()).ns >= 30 * ms);
  CHECK(waits_of(r::mutex()).ns <= waits_of(r::block()).ns);
  CHECK(waits_of(r::mutex_hold()).count == 4);

  // Invariant: no addition under the lock is lost.
  set_mutex_hold_profile_rate(7);
  int number = 0;
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 20'000; ++i) {
        const std::lock_guard hold(m);
        ++number;
      }
    });
  }
  for (auto& t : threads) t.join();
  CHECK(number == 80'000);
  CHECK(m.try_lock());
  CHECK_FALSE(m.try_lock());
  m.unlock();
}

TEST_CASE("every standard lock holder takes them, several at once as well") {
  tracked_mutex<> a;
  tracked_mutex<std::shared_mutex> b{"b"};
  tracked_mutex<std::recursive_timed_mutex> c;
  {
    std::scoped_lock all(a, b, c);
    CHECK(c.try_lock());
    c.unlock();
  }
  std::unique_lock x(a, std::defer_lock);
  std::unique_lock y(c, std::defer_lock);
  std::lock(x, y);
  std::shared_lock s(b);
  CHECK_FALSE(b.try_lock());
  CHECK(named_at_compile_time.try_lock());
  named_at_compile_time.unlock();
}

TEST_CASE("a run-time name is copied, and the profile has it after its text is gone") {
  const wait_rates every(1);
  using r = own<"mutex.named">;
  auto text = std::make_unique<std::string>("a name of some length, on the heap");
  tracked_mutex<std::mutex, r> m{*text};
  text->assign(text->size(), 'x');
  text.reset();
  hold_up(m, r::block(), 1, 1, [&m] { std::lock_guard hold(m); });
  CHECK(!r::block().snapshot().rows.empty());
  for (const profile_row& row : r::block().snapshot().rows) {
    CHECK(label_of(row, "lock") == "a name of some length, on the heap");
  }
  tracked_mutex<std::mutex, r> empty{""};
  hold_up(empty, r::block(), 1, 2, [&empty] { std::lock_guard hold(empty); });
  CHECK(r::block().count() == 2);
}

TEST_CASE("a lock can be named by the line that makes it") {
  const wait_rates every(1);
  using r = own<"mutex.line">;
  struct cache {
    cache() : first(this_line()) {}
    tracked_mutex<std::mutex, r> first;
    tracked_mutex<std::mutex, r> second{this_line()};
  };
  const int constructor = __LINE__ - 4;
  tracked_mutex<std::mutex, r> local{this_line()};
  const int here = __LINE__ - 1;
  cache c;
  for (tracked_mutex<std::mutex, r>* m : {&c.first, &c.second, &local}) {
    hold_up(*m, r::block(), 1, 1, [m] { std::lock_guard hold(*m); });
  }
  std::set<std::string> names;
  for (const profile_row& row : r::block().snapshot().rows) names.insert(label_of(row, "lock"));
  CHECK(names == std::set{"mutex.test.cpp:" + std::to_string(constructor),
                          "mutex.test.cpp:" + std::to_string(here)});
}

TEST_CASE("the lock underneath is M, and its own events are not recorded") {
  const wait_rates every(1, 1, 1);
  using r = own<"mutex.underlying">;
  tracked_mutex<std::mutex, r> m;
  std::mutex& underlying = m.underlying();
  static_assert(std::is_same_v<decltype(std::as_const(m).underlying()), const std::mutex&>);
  underlying.lock();
  std::atomic<bool> locked = false;
  std::thread waiter([&] {
    underlying.lock();
    locked = true;
    underlying.unlock();
  });
  sleep_ms(2);
  CHECK_FALSE(locked);
  underlying.unlock();
  waiter.join();
  CHECK(waits_of(r::block()).count == 0);
  CHECK(waits_of(r::mutex()).count == 0);
  CHECK(waits_of(r::mutex_hold()).count == 0);

  // A std::condition_variable releases the lock, and its wait belongs to the surrounding hold.
  std::condition_variable ready;
  m.lock();
  {
    std::unique_lock hold(underlying, std::adopt_lock);
    CHECK(ready.wait_for(hold, std::chrono::milliseconds(2)) == std::cv_status::timeout);
    hold.release();
  }
  m.unlock();
  CHECK(waits_of(r::mutex_hold()).count == 1);
  CHECK(waits_of(r::mutex_hold()).ns >= 2 * ms);

  tracked_mutex<std::mutex, null_registry> nothing;
  CHECK(static_cast<void*>(&nothing.underlying()) == static_cast<void*>(&nothing));
  tracked_mutex<final_mutex, null_registry> of_final;
  of_final.underlying().lock();
}

static_assert(!std::is_convertible_v<tracked_mutex<>&, std::mutex&> &&
              !std::is_constructible_v<std::unique_lock<std::mutex>, tracked_mutex<>&>);

TEST_CASE("a thread that ends while others wait leaves their waits as they are") {
  const wait_rates every(1);
  using r = own<"mutex.ends">;
  tracked_mutex<std::timed_mutex, r> m;
  m.lock();
  std::thread patient([&] {
    m.lock();
    m.unlock();
  });
  whence_tests::wait_until_waiting(r::block(), 1);
  std::thread([&] { CHECK_FALSE(m.try_lock_for(std::chrono::milliseconds(1))); }).join();
  CHECK(waits_of(r::block()).count == 2);
  sleep_ms(5);
  m.unlock();
  patient.join();
  CHECK(waits_of(r::block()).count == 2);
  CHECK(waits_of(r::mutex()).ns <= waits_of(r::block()).ns);
}
