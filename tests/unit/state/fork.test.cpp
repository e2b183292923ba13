// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "support/heap_probe.hpp"
#include "support/sanitizers.hpp"
#include "support/temp_dir.hpp"
#include "support/wait_probe.hpp"
#include <whence/allocator.hpp>
#include <whence/mutex.hpp>
#include <whence/profile.hpp>
#include <whence/sync.hpp>

using namespace whence;

// Other threads record all the time, so that at some fork any lock is held. The child uses every
// one of them; a lock that is never released ends in the alarm.
TEST_CASE("a forked child records, frees and writes, whatever the parent's threads were doing" *
          doctest::test_suite("heavy")) {
  if (sanitized) return;  // the sanitizers' own locks do not survive such a fork
  const whence_tests::heap_rate every(1);
  profile& p = new_profile("fork.values");
  std::atomic<bool> stop{false};
  std::vector<std::thread> busy;
  for (std::uint64_t t = 1; t <= 3; ++t) {
    busy.emplace_back([&, t] {
      for (std::uint64_t i = 0; !stop; ++i) {
        p.add(t << 32 | i);
        p.remove(t << 32 | i);
        const std::vector<int, tracking_allocator<int>> v(10);
        if (i % 1024 == 0) set_heap_profile_rate(1);
      }
    });
  }
  std::vector<int, tracking_allocator<int>> inherited(1000);
  p.add(7);
  for (int i = 0; i < 30; ++i) {
    const pid_t child = ::fork();
    REQUIRE(child >= 0);
    if (child == 0) {
      ::alarm(30);
      bool good = p.remove(7);  // the parent's entry exists
      for (std::uint64_t v = 100; v < 400; ++v) p.add(v);
      const std::vector<int, tracking_allocator<int>> own(10);
      inherited = {};
      std::string text;
      good = good && !p.write_to(text, 0) && !text.empty();
      ::_exit(good ? 0 : 1);
    }
    int status = -1;
    REQUIRE(::waitpid(child, &status, 0) == child);
    REQUIRE(status == 0);
  }
  stop = true;
  for (auto& thread : busy) thread.join();
  CHECK(p.remove(7));
  CHECK(p.count() == 0);
}

TEST_CASE("children of one parent sample by numbers of their own") {
  if (sanitized) return;
  tracking_allocator<char> a;
  a.deallocate(a.allocate(1), 1);
  std::vector<std::uint64_t> seeds{sys::random_state};
  for (int i = 0; i < 3; ++i) {
    int ends[2];
    REQUIRE(::pipe(ends) == 0);
    const pid_t child = ::fork();
    REQUIRE(child >= 0);
    if (child == 0) {
      a.deallocate(a.allocate(1), 1);
      const std::uint64_t mine = sys::random_state;
      ::_exit(::write(ends[1], &mine, sizeof mine) == sizeof mine ? 0 : 1);
    }
    std::uint64_t theirs = 0;
    CHECK(::read(ends[0], &theirs, sizeof theirs) == sizeof theirs);
    CHECK(std::find(seeds.begin(), seeds.end(), theirs) == seeds.end());
    seeds.push_back(theirs);
    ::waitpid(child, nullptr, 0);
    ::close(ends[0]);
    ::close(ends[1]);
  }
}

// A program's fork handler takes a lock of the program before the fork. The thread that holds that
// lock may be recording: so ours must be taken later. This program's handler is registered when
// tests run, long after ours; if ours were registered at the first use, a child would show it.
TEST_CASE("a program's own fork handler may wait for a thread that records") {
  if (sanitized) return;
  const whence_tests::temp_dir shop;
  shop.write("p.cpp", R"(
#include <pthread.h>
#include <sys/wait.h>
#include <unistd.h>
#include <atomic>
#include <mutex>
#include <thread>
#include <whence/whence.hpp>
static std::mutex m;
int main() {
  ::alarm(60);
  ::pthread_atfork([] { m.lock(); }, [] { m.unlock(); }, [] { m.unlock(); });
  whence::set_heap_profile_rate(1);
  std::atomic<bool> stop{false};
  std::thread busy([&] {
    whence::tracking_allocator<char> a;
    while (!stop) {
      const std::lock_guard hold(m);
      a.deallocate(a.allocate(1), 1);
      whence::tracked_mutex<> named("name");
    }
  });
  int failed = 0;
  for (int i = 0; i < 300; ++i) {
    const pid_t child = ::fork();
    if (child == 0) ::_exit(0);
    int status = 1;
    ::waitpid(child, &status, 0);
    failed += status != 0;
  }
  stop = true;
  busy.join();
  return failed;
}
)");
  shop.run(whence_tests::temp_dir::compiler() +
           " -std=c++20 -O1 -DWHENCE_WITH_ZLIB=0 -DWHENCE_WITH_LIBDW=0 -I '" +
           std::string(WHENCE_INCLUDE_DIR) + "' p.cpp -o p -pthread && ./p");
}

// valgrind reports what only the stacks of the parent's threads held as lost in a child.
TEST_CASE("a child of fork finds no thread waiting, and locks that others waited for are as free") {
  const whence_tests::wait_rates every(1);
  using r = prefixed_registry<"fork.waits">;
  tracked_mutex<std::timed_mutex, r> m;
  m.lock();
  std::vector<std::thread> waiters;
  for (int i = 0; i < 5; ++i) {
    waiters.emplace_back([&m] {
      m.lock();
      m.unlock();
    });
  }
  whence_tests::wait_until_waiting(r::block(), 5);
  const basic_blocking_scope<r> own_wait;
  const pid_t child = ::fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    // The forking thread's own wait goes on; waits of missing threads are not charged.
    int failed = whence_tests::waits_of(r::block()).count == 1 ? 0 : 1;
    m.unlock();
    failed += whence_tests::waits_of(r::mutex()).count == 0 ? 0 : 2;
    if (m.try_lock()) {
      m.unlock();
    } else {
      failed += 4;
    }
    ::_exit(failed);
  }
  int status = 1;
  REQUIRE(::waitpid(child, &status, 0) == child);
  CHECK(WIFEXITED(status));
  CHECK(WEXITSTATUS(status) == 0);
  m.unlock();
  for (auto& t : waiters) t.join();
  CHECK(whence_tests::waits_of(r::mutex()).count >= 1);
}
