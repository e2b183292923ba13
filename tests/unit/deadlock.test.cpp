// SPDX-License-Identifier: Apache-2.0
//
// Deadlocks in a dump: which threads wait for each other, which locks they hold, and their stacks.
#include <doctest/doctest.h>
#include <sys/types.h>
#include <unistd.h>

#include <atomic>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "support/sanitizers.hpp"
#include "support/text.hpp"
#include "support/wait_probe.hpp"
#include <whence/mutex.hpp>
#include <whence/profile.hpp>

using namespace whence;
using namespace whence_tests;

namespace {

// A lock that can admit its waiters, so that a deadlock comes to an end.
class breakable {
 public:
  void lock() {
    std::unique_lock hold(mutex_);
    changed_.wait(hold, [this] { return !held_ || broken_; });
    held_ = true;
  }
  bool try_lock() {
    const std::lock_guard hold(mutex_);
    return !held_ && (held_ = true);
  }
  void unlock() {
    {
      const std::lock_guard hold(mutex_);
      held_ = false;
    }
    changed_.notify_one();
  }
  void let_in() {
    {
      const std::lock_guard hold(mutex_);
      broken_ = true;
    }
    changed_.notify_all();
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  bool held_ = false;
  bool broken_ = false;
};

// Waiters can be admitted through native_handle.
struct lockable : breakable {
  using native_handle_type = breakable*;
  native_handle_type native_handle() { return this; }
};
using lock = tracked_mutex<lockable, prefixed_registry<"deadlock.test">>;

std::string dump() {
  std::string all;
  CHECK_FALSE(lookup("goroutine")->write_to(all, 2));
  return all;
}

std::int64_t waits() {
  return waits_of(prefixed_registry<"deadlock.test">::block()).count;
}

// Takes one lock and, after all threads have theirs, the next thread's.
[[gnu::noinline]] void deadlock_takes(lock& mine, lock& other, std::atomic<int>& ready, int all,
                                      std::atomic<::pid_t>& tid) {
  const std::lock_guard first(mine);
  tid = ::gettid();
  ++ready;
  while (ready < all) sleep_ms(1);
  const std::lock_guard second(other);
}

void circle(int size) {
  CAPTURE(size);
  const char* const names[] = {"one", "two", "three"};
  std::vector<std::unique_ptr<lock>> locks;
  for (int i = 0; i < size; ++i) locks.push_back(std::make_unique<lock>(names[i]));
  std::vector<std::atomic<::pid_t>> tids(static_cast<std::size_t>(size));
  std::atomic<int> ready{0};
  const std::int64_t before = waits();
  std::vector<std::thread> threads;
  for (std::size_t i = 0; i < locks.size(); ++i) {
    threads.emplace_back([&, i] {
      deadlock_takes(*locks[i], *locks[(i + 1) % locks.size()], ready, size, tids[i]);
    });
  }
  while (waits() < before + size) sleep_ms(1);
  sleep_ms(20);
  const std::string all = dump();
  CAPTURE(all);
  CHECK(all.starts_with("deadlock: " + std::to_string(size) + " threads wait for each other\n"));
  for (std::size_t i = 0; i < locks.size(); ++i) {
    const std::size_t next = (i + 1) % locks.size();
    const std::string lock_name = std::string("lock \"") + names[next] + "\"";
    const std::string holder = std::to_string(tids[next]);
    CHECK(has(all, "thread " + std::to_string(tids[i]) + " waits for " + lock_name +
                       " held by thread " + holder + ":\n"));
    const std::string took = "thread " + holder + " took " + lock_name + ":\n";
    const std::size_t at = all.find(took);
    CHECK(at != std::string::npos);
    if (at != std::string::npos) {
      CHECK(has(all.substr(at, all.find("\n\n", at) - at), "deadlock_takes"));
    }
    CHECK(has(all, ", waiting for " + lock_name + " held by thread " + holder + " at "));
  }
  for (auto& l : locks) l->native_handle()->let_in();
  for (std::thread& t : threads) t.join();
  CHECK_FALSE(has(dump(), "deadlock:"));
}

}  // namespace

TEST_CASE("a deadlock is named with its threads, its locks and all stacks") {
  const wait_rates every(1);
  circle(2);
  circle(3);
}

TEST_CASE("a waiting thread names the lock's holder; that is no deadlock") {
  const wait_rates every(1);
  lock orders("orders");
  orders.lock();
  const std::int64_t before = waits();
  std::thread waiter([&orders] {
    orders.lock();
    orders.unlock();
  });
  while (waits() < before + 1) sleep_ms(1);
  sleep_ms(5);
  const std::string all = dump();
  CAPTURE(all);
  CHECK_FALSE(has(all, "deadlock:"));
  // The place is named too, if the compiler put the lock into its user's function.
  CHECK(has(all, ", waiting for lock \"orders\" held by thread " + std::to_string(::gettid())));
  orders.unlock();
  waiter.join();
}
