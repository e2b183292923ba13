// SPDX-License-Identifier: Apache-2.0
//
// <whence/pthread.hpp>: every thread of a program is in `threadcreate` with the function that made
// it, however it was made, until it ends; the samplers' own threads never are.
//
// births: fails for a thread that is missing, counted twice, or left behind.
#include <pthread.h>
#include <unistd.h>

#include <atomic>
#include <condition_variable>
#include <cstdio>
#include <functional>
#include <future>
#include <mutex>
#include <queue>
#include <string>
#include <thread>
#include <vector>

#include <whence/pthread.hpp>
#include <whence/whence.hpp>

namespace {

int failures = 0;
std::atomic<bool> open_gate{false};
std::atomic<int> here{0};

void park() {
  ++here;
  while (!open_gate) ::usleep(1000);
}

std::string created() {
  std::string text;
  if (whence::lookup("threadcreate")->write_to(text, 1)) ++failures;
  return text;
}

// How many threads are in groups that go through a function.
int count_of(const std::string& text, const char* function) {
  int count = 0;
  for (std::size_t at = text.find('\n') + 1; at < text.size();) {
    std::size_t end = text.find("\n\n", at);
    if (end == std::string::npos) end = text.size();
    const std::string group = text.substr(at, end - at);
    if (group.find(function) != std::string::npos) count += std::atoi(group.c_str());
    at = end + 2;
  }
  return count;
}

void expect(const std::string& text, const char* function, int count) {
  const int found = count_of(text, function);
  std::printf("%-16s %d threads\n", function, found);
  if (found == count) return;
  std::printf("FAILED: %d expected\n%.4000s\n", count, text.c_str());
  ++failures;
}

[[gnu::noinline]] void births_std(std::vector<std::thread>& all) {
  all.emplace_back(park);
  asm volatile("");  // no tail call
}
[[gnu::noinline]] void births_jthread(std::vector<std::jthread>& all) {
  all.emplace_back(park);
  asm volatile("");  // no tail call
}
[[gnu::noinline]] void births_tracked(std::vector<whence::tracked_thread>& all) {
  all.emplace_back(park);
  asm volatile("");  // no tail call
}
[[gnu::noinline]] void births_pthread(std::vector<pthread_t>& all) {
  pthread_t t;
  if (::pthread_create(
          &t, nullptr, [](void*) -> void* { return park(), nullptr; }, nullptr) != 0) {
    ++failures;
  }
  all.push_back(t);
  asm volatile("");
}
[[gnu::noinline]] std::future<void> births_async() {
  return std::async(std::launch::async, park);
}

// A typical pool of threads.
class pool {
 public:
  [[gnu::noinline]] explicit pool(int size) { births_pool(size); }
  ~pool() {
    {
      const std::lock_guard hold(mutex_);
      over_ = true;
    }
    changed_.notify_all();
    for (std::thread& t : threads_) t.join();
  }
  void run(std::function<void()> job) {
    {
      const std::lock_guard hold(mutex_);
      jobs_.push(std::move(job));
    }
    changed_.notify_one();
  }

 private:
  [[gnu::noinline]] void births_pool(int size) {
    for (int i = 0; i < size; ++i) {
      threads_.emplace_back([this] { work(); });
    }
    asm volatile("");
  }
  void work() {
    for (std::unique_lock hold(mutex_);;) {
      changed_.wait(hold, [this] { return over_ || !jobs_.empty(); });
      if (jobs_.empty()) return;
      const std::function<void()> job = std::move(jobs_.front());
      jobs_.pop();
      hold.unlock();
      job();
      hold.lock();
    }
  }
  std::mutex mutex_;
  std::condition_variable changed_;
  std::queue<std::function<void()>> jobs_;
  bool over_ = false;
  std::vector<std::thread> threads_;
};

}  // namespace

int main() {
  std::vector<std::thread> threads;
  std::vector<std::jthread> jthreads;
  std::vector<whence::tracked_thread> tracked;
  std::vector<pthread_t> pthreads;
  {
    const whence::wall_session session;  // has a thread of its own
    pool workers(6);
    for (int i = 0; i < 6; ++i) workers.run(park);
    for (int i = 0; i < 5; ++i) births_std(threads);
    for (int i = 0; i < 4; ++i) births_jthread(jthreads);
    for (int i = 0; i < 3; ++i) births_tracked(tracked);
    for (int i = 0; i < 2; ++i) births_pthread(pthreads);
    std::future<void> task = births_async();
    while (here < 21) ::usleep(1000);
    const std::string text = created();
    expect(text, "births_pool", 6);
    expect(text, "births_std", 5);
    expect(text, "births_jthread", 4);
    expect(text, "births_tracked", 3);
    expect(text, "births_pthread", 2);
    expect(text, "births_async", 1);
    if (!text.starts_with("threadcreate profile: total 21\n")) {
      std::printf("FAILED: there are others\n%.4000s\n", text.c_str());
      ++failures;
    }
    // If the system refuses a thread, none is recorded.
    pthread_attr_t huge;
    ::pthread_attr_init(&huge);
    ::pthread_attr_setstacksize(&huge, std::size_t{1} << 46);
    pthread_t none;
    if (::pthread_create(
            &none, &huge, [](void*) -> void* { return nullptr; }, nullptr) == 0) {
      ++failures;
    }
    open_gate = true;
  }
  for (auto& t : threads) t.join();
  for (auto& t : jthreads) t.join();
  for (auto& t : tracked) t.join();
  for (const pthread_t t : pthreads) ::pthread_join(t, nullptr);
  const std::string left = created();
  if (left.find("total 0") == std::string::npos) {
    std::printf("FAILED: left behind\n%s\n", left.c_str());
    ++failures;
  }
  std::printf("%s\n", failures == 0 ? "passed" : "FAILED");
  return failures == 0 ? 0 : 1;
}
