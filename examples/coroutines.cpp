// SPDX-License-Identifier: Apache-2.0
//
// Coroutines in `goroutine`: a generator and asynchronous tasks on a small executor, dumped while
// they are suspended. No thread's stack shows any of them.
//
//   $ ./coroutines            the dump, and coroutines.pb.gz, block.pb.gz
//   $ go tool pprof -traces coroutines.pb.gz
#include <chrono>
#include <coroutine>
#include <cstdio>
#include <exception>
#include <queue>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <whence/coroutine.hpp>
#include <whence/whence.hpp>

namespace shop {

using std::chrono::steady_clock;

// Runs what is due, on the thread that calls run().
class executor {
 public:
  void resume_at(steady_clock::time_point when, std::coroutine_handle<> coroutine) {
    due_.push({when, coroutine});
  }
  // Returns at `end`, or when no work is left.
  void run(steady_clock::time_point end) {
    while (!due_.empty() && due_.top().when <= end) {
      const item next = due_.top();
      due_.pop();
      const auto now = steady_clock::now();
      if (next.when > now) {
        const whence::blocking_scope idle("timer");
        std::this_thread::sleep_for(next.when - now);
      }
      next.coroutine.resume();
    }
  }

 private:
  struct item {
    steady_clock::time_point when;
    std::coroutine_handle<> coroutine;
    bool operator<(const item& other) const { return when > other.when; }
  };
  std::priority_queue<item> due_;
};

executor loop;

// co_await sleep{20ms}
struct sleep {
  std::chrono::milliseconds length;
  bool await_ready() const noexcept { return length.count() <= 0; }
  void await_suspend(std::coroutine_handle<> coroutine) const {
    loop.resume_at(steady_clock::now() + length, coroutine);
  }
  void await_resume() const noexcept {}
};

// A coroutine that begins when it is awaited, and goes on with its awaiter when it ends.
class [[nodiscard]] task {
 public:
  struct promise_type : whence::tracked_promise {
    std::coroutine_handle<> continuation = std::noop_coroutine();
    int value = 0;

    task get_return_object() {
      return task(std::coroutine_handle<promise_type>::from_promise(*this));
    }
    auto initial_suspend() noexcept { return at_start(std::suspend_always{}); }
    auto final_suspend() noexcept {
      struct goes_on {
        bool await_ready() noexcept { return false; }
        std::coroutine_handle<> await_suspend(std::coroutine_handle<promise_type> own) noexcept {
          return own.promise().continuation;
        }
        void await_resume() noexcept {}
      };
      return goes_on{};
    }
    void return_value(int v) noexcept { value = v; }
    void unhandled_exception() noexcept { std::terminate(); }
  };

  explicit task(std::coroutine_handle<promise_type> own) : own_(own) {}
  task(task&& other) noexcept : own_(std::exchange(other.own_, nullptr)) {}
  task& operator=(task&&) = delete;
  ~task() {
    if (own_) own_.destroy();
  }

  void start() { own_.resume(); }

  bool await_ready() const noexcept { return false; }
  template <class Promise>
  std::coroutine_handle<> await_suspend(std::coroutine_handle<Promise> caller) noexcept {
    own_.promise().awaited_by(caller);
    own_.promise().continuation = caller;
    return own_;
  }
  int await_resume() const noexcept { return own_.promise().value; }

 private:
  std::coroutine_handle<promise_type> own_;
};

// A sequence whose values are made one by one, when they are asked for.
class numbers {
 public:
  struct promise_type : whence::tracked_promise {
    int value = 0;
    numbers get_return_object() {
      return numbers(std::coroutine_handle<promise_type>::from_promise(*this));
    }
    auto initial_suspend() noexcept { return at_start(std::suspend_always{}); }
    std::suspend_always final_suspend() noexcept { return {}; }
    auto yield_value(int v) noexcept {
      value = v;
      return idle(std::suspend_always{});
    }
    void return_void() noexcept {}
    void unhandled_exception() noexcept { std::terminate(); }
  };

  explicit numbers(std::coroutine_handle<promise_type> own) : own_(own) {}
  numbers(numbers&& other) noexcept : own_(std::exchange(other.own_, nullptr)) {}
  numbers& operator=(numbers&&) = delete;
  ~numbers() {
    if (own_) own_.destroy();
  }
  int next() {
    own_.resume();
    return own_.promise().value;
  }

 private:
  std::coroutine_handle<promise_type> own_;
};

numbers tickets() {
  for (int i = 1;; ++i) co_yield i;
}

task fetch(int key) {
  co_await whence::tracked_await("redis", sleep{std::chrono::milliseconds(300)});
  co_return 2 * key;
}

task answer(int request) {
  int sum = 0;
  for (int i = 0; i < 3; ++i) sum += co_await fetch(request + i);
  co_return sum;
}

void serve(std::vector<task>& tasks, numbers& ids) {
  for (int i = 0; i < 3; ++i) {
    const whence::scoped_labels labels{{"handler", i == 0 ? "/report" : "/search"}};
    tasks.push_back(answer(ids.next()));
    tasks.back().start();
  }
  tasks.push_back(answer(0));  // and forgotten
}

}  // namespace shop

int main() {
  shop::numbers ids = shop::tickets();
  std::vector<shop::task> tasks;
  shop::serve(tasks, ids);
  shop::loop.run(shop::steady_clock::now() + std::chrono::milliseconds(500));

  std::string dump;
  if (whence::lookup("goroutine")->write_to(dump, 2)) return 1;
  std::fputs(dump.c_str(), stdout);
  if (const auto error = whence::lookup("goroutine")->write_to("coroutines.pb.gz")) return 1;

  shop::loop.run(shop::steady_clock::time_point::max());
  if (const auto error = whence::lookup("block")->write_to("block.pb.gz")) return 1;
}
