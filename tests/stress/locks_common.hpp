// SPDX-License-Identifier: Apache-2.0
//
// Shared by the parts of locks.cpp: when to stop, how to fail, random numbers and random work.
#ifndef WHENCE_TESTS_STRESS_LOCKS_COMMON_HPP
#define WHENCE_TESTS_STRESS_LOCKS_COMMON_HPP

#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <chrono>
#include <cinttypes>
#include <climits>
#include <condition_variable>
#include <cstdarg>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <deque>
#include <future>
#include <iterator>
#include <mutex>
#include <numeric>
#include <shared_mutex>
#include <stop_token>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "support/sanitizers.hpp"
#include <whence/condition_variable.hpp>
#include <whence/mutex.hpp>
#include <whence/profile.hpp>
#include <whence/sync.hpp>

namespace {

using namespace std::chrono_literals;
using whence::tracked_condition_variable;
using whence::tracked_mutex;
using steady = std::chrono::steady_clock;

std::atomic<bool> stop{false};

[[gnu::format(printf, 1, 2), noreturn]] void fail(const char* format, ...) {
  std::va_list arguments;
  va_start(arguments, format);
  std::fputs("FAILED: ", stderr);
  std::vfprintf(stderr, format, arguments);
  std::fputc('\n', stderr);
  std::abort();
}

#define MUST(condition) ((condition) ? void() : fail("line %d: not %s", __LINE__, #condition))

class random_numbers {
 public:
  explicit random_numbers(std::uint64_t seed) : state_(seed * 0x9e3779b97f4a7c15u | 1) {}
  std::uint64_t operator()() noexcept {
    state_ ^= state_ << 13;
    state_ ^= state_ >> 7;
    return state_ ^= state_ << 17;
  }
  std::size_t below(std::size_t bound) noexcept { return (*this)() % bound; }

 private:
  std::uint64_t state_;
};

// Takes a while without waiting, so that others find a lock held.
void work(random_numbers& random) {
  volatile std::size_t left = random.below(64) == 0 ? 20'000 : random.below(200);
  while (left > 0) left = left - 1;
  if (random.below(256) == 0) std::this_thread::yield();
}

}  // namespace

#endif  // WHENCE_TESTS_STRESS_LOCKS_COMMON_HPP
