// SPDX-License-Identifier: Apache-2.0
//
// What a dump says of locks that are handed on all the time.
#include <doctest/doctest.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "support/sanitizers.hpp"
#include <whence/mutex.hpp>
#include <whence/profile.hpp>

using namespace whence;

namespace {

tracked_mutex<> counter{"churn.counter"};

void serves(const std::atomic<bool>& over) {
  while (!over) {
    {
      const std::scoped_lock hold(counter);
      const auto until = std::chrono::steady_clock::now() + std::chrono::microseconds(60);
      while (std::chrono::steady_clock::now() < until) {
      }
    }
    std::this_thread::sleep_for(std::chrono::microseconds(10));
  }
}

struct described_thread {
  std::string tid, head;
  bool waits = false;  // in the lock's own wait
};

std::vector<described_thread> threads_of(const std::string& dump) {
  std::vector<described_thread> result;
  for (std::size_t at = 0, end = 0; at < dump.size(); at = end + 2) {
    end = dump.find("\n\n", at);
    if (end == dump.npos) end = dump.size();
    const std::string one = dump.substr(at, end - at);
    const std::size_t number = one.find(' ') + 1;
    result.push_back({one.substr(number, one.find(' ', number) - number),
                      one.substr(0, one.find('\n')), one.find("lll_lock_wait") != one.npos});
  }
  return result;
}

}  // namespace

TEST_CASE(
    "under short holds a dump names each wait's lock, and no holder that waits for it itself") {
  if (sanitized) return;
  std::atomic<bool> over{false};
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) threads.emplace_back([&] { serves(over); });
  int waiting = 0, unnamed = 0, contradictions = 0;
  for (int i = 0; i < 100; ++i) {
    std::string dump;
    REQUIRE_FALSE(lookup("goroutine")->write_to(dump, 2));
    for (const described_thread& t : threads_of(dump)) {
      if (!t.waits) continue;
      ++waiting;
      if (t.head.find("waiting for lock \"churn.counter\"") == t.head.npos) ++unnamed;
      if (dump.find("held by thread " + t.tid + " ") != dump.npos) ++contradictions;
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
  over = true;
  for (std::thread& t : threads) t.join();
  CHECK(waiting > 0);
  CHECK(contradictions == 0);
  // A thread that is about to wait, or has just been woken, has no wait to be told.
  CHECK(unnamed <= waiting / 10);
}
