// SPDX-License-Identifier: Apache-2.0
//
// A file that records; its twin is coroutine_std.cpp.
#include <coroutine>
#include <exception>

#include <whence/coroutine.hpp>

namespace {

struct task {
  struct promise_type : whence::tracked_promise {
    task get_return_object() noexcept { return {}; }
    std::suspend_never initial_suspend() noexcept { return {}; }
    std::suspend_never final_suspend() noexcept { return {}; }
    void return_void() noexcept {}
    void unhandled_exception() noexcept { std::terminate(); }
  };
};

struct resumed_by {
  bool await_ready() const noexcept { return false; }
  void await_suspend(std::coroutine_handle<> waiting) const noexcept { *place = waiting; }
  void await_resume() const noexcept {}
  std::coroutine_handle<>* place;
};

task count_when_resumed(std::coroutine_handle<>* place, int* count) {
  co_await resumed_by{place};
  ++*count;
}

}  // namespace

void start(std::coroutine_handle<>* place, int* count) {
  count_when_resumed(place, count);
}
