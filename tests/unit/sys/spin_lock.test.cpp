// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>
#include <time.h>

#include <cerrno>
#include <thread>
#include <vector>

#include <whence/sys/guard.hpp>
#include <whence/sys/spin_lock.hpp>

using namespace whence;

TEST_CASE("one thread at a time is inside, and all get in") {
  sys::spin_lock lock;
  long inside = 0;
  std::vector<std::thread> pool;
  for (int t = 0; t < 4; ++t) {
    pool.emplace_back([&] {
      for (int i = 0; i < 50'000; ++i) {
        const sys::guard hold(lock);
        ++inside;
      }
    });
  }
  for (auto& thread : pool) thread.join();
  CHECK(inside == 200'000);
}

TEST_CASE("waiting for a holder that sleeps keeps errno") {
  sys::spin_lock lock;
  lock.lock();
  int kept = 0;
  std::thread waiter([&] {
    errno = EXDEV;
    const sys::guard hold(lock);
    kept = errno;
  });
  const timespec a_while{0, 20'000'000};
  ::nanosleep(&a_while, nullptr);
  lock.unlock();
  waiter.join();
  CHECK(kept == EXDEV);
}
