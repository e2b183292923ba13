// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <string>
#include <thread>
#include <vector>

#include "../heap_probe.hpp"
#include "../sanitizers.hpp"
#include <whence/allocator.hpp>
#include <whence/profile.hpp>

using namespace whence;

// Other threads record all the time, so that at some fork any lock is held. The child uses every
// one of them; a lock that nobody will release ends in the alarm.
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
      bool good = p.remove(7);  // what the parent added is there
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
  std::vector<std::uint64_t> seeds{instruments::this_thread.random};
  for (int i = 0; i < 3; ++i) {
    int ends[2];
    REQUIRE(::pipe(ends) == 0);
    const pid_t child = ::fork();
    REQUIRE(child >= 0);
    if (child == 0) {
      a.deallocate(a.allocate(1), 1);
      const std::uint64_t mine = instruments::this_thread.random;
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
