// SPDX-License-Identifier: Apache-2.0
//
// Includes only recording pages.
#include "records.hpp"

#include <unistd.h>

#include <atomic>
#include <coroutine>
#include <cstdio>
#include <memory_resource>
#include <vector>

#include <whence/recording.hpp>

namespace {

struct generator {
  struct promise_type : whence::tracked_promise {
    generator get_return_object() {
      return {std::coroutine_handle<promise_type>::from_promise(*this)};
    }
    auto initial_suspend() noexcept { return at_start(std::suspend_always{}); }
    std::suspend_always final_suspend() noexcept { return {}; }
    void return_void() {}
    void unhandled_exception() {}
  };
  std::coroutine_handle<promise_type> handle;
};

generator count() {
  co_return;
}

// Returns when the thread sleeps.
void wait_until_asleep(const std::atomic<pid_t>& thread) {
  char state = 'R';
  while (state != 'S') {
    usleep(1000);
    char path[64];
    std::snprintf(path, sizeof path, "/proc/self/task/%d/stat", thread.load());
    if (std::FILE* const file = thread == 0 ? nullptr : std::fopen(path, "r")) {
      if (std::fscanf(file, "%*d (%*[^)]) %c", &state) != 1) state = 'R';
      std::fclose(file);
    }
  }
}

struct work {
  whence::tracked<whence::custom_profile<"app.sessions">> entry;
  std::vector<int, whence::tracking_allocator<int>> numbers;
  whence::tracking_resource resource;
  std::pmr::vector<int> others{&resource};
  whence::tracked_mutex<> lock{"orders"};
  whence::scoped_labels labels{{"part", "records"}};
  generator counter = count();
};

work* now = nullptr;

}  // namespace

extern "C" void begin_work() {
  whence::set_thread_name("worker");
  now = new work;
  now->numbers.resize(1000);
  now->others.resize(1000);
  now->lock.lock();
  {
    std::atomic<pid_t> waiter{0};
    whence::tracked_jthread waits(whence::thread_name{"waits"}, [&waiter] {
      waiter = gettid();
      now->lock.lock();
      now->lock.unlock();
    });
    wait_until_asleep(waiter);
    now->lock.unlock();
  }
  now->counter.handle.resume();
}

extern "C" void end_work() {
  now->counter.handle.destroy();
  delete now;
  now = nullptr;
}
