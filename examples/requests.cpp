// SPDX-License-Identifier: Apache-2.0
//
// Requests of three handlers and two tenants go through a pool of workers; labels say which of them
// the CPU time, the memory and the waits were for:
//   requests [SECONDS [FOLDER]]       default: 2 seconds, profiles to the current folder
//   go tool pprof -tags cpu.pb.gz
//   go tool pprof -top -tagfocus=handler=/search cpu.pb.gz
//   go tool pprof -tags -sample_index=alloc_space heap.pb.gz
//   go tool pprof -tags wall.pb.gz                                      running and waiting
#include <algorithm>
#include <array>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <deque>
#include <filesystem>
#include <functional>
#include <mutex>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include <whence/whence.hpp>

namespace {

namespace fs = std::filesystem;
template <class T>
using list = std::vector<T, whence::tracking_allocator<T>>;
using text = std::basic_string<char, std::char_traits<char>, whence::tracking_allocator<char>>;

// A pool of workers. A task has the labels of the code that posted it.
class pool {
 public:
  explicit pool(unsigned workers) {
    for (unsigned i = 0; i < workers; ++i) workers_.emplace_back([this] { work(); });
  }
  ~pool() {
    {
      const std::scoped_lock hold(lock_);
      closed_ = true;
    }
    ready_.notify_all();
  }

  void post(std::function<void()> task) {
    {
      const std::scoped_lock hold(lock_);
      tasks_.push_back([mine = whence::current_labels(), task = std::move(task)] {
        const whence::scoped_labels_only scope(mine);
        task();
      });
    }
    ready_.notify_one();
  }
  std::size_t waiting() {
    const std::scoped_lock hold(lock_);
    return tasks_.size();
  }

 private:
  void work() {
    for (;;) {
      std::unique_lock hold(lock_);
      ready_.wait(hold, [this] { return closed_ || !tasks_.empty(); });
      if (tasks_.empty()) return;
      const auto task = std::move(tasks_.front());
      tasks_.pop_front();
      hold.unlock();
      task();
    }
  }

  whence::tracked_mutex<> lock_{"pool"};
  whence::tracked_condition_variable ready_{"pool"};
  std::deque<std::function<void()>> tasks_;
  bool closed_ = false;
  std::vector<std::jthread> workers_;
};

std::size_t search(std::uint32_t seed) {
  std::minstd_rand random(seed);
  list<std::uint32_t> found(60'000);
  for (auto& id : found) id = static_cast<std::uint32_t>(random());
  std::sort(found.begin(), found.end());
  return found[found.size() / 2];
}

std::size_t login(std::uint32_t seed) {
  std::uint64_t hash = seed;
  for (int i = 0; i < 400'000; ++i) hash = (hash ^ (hash >> 29)) * 0xbf58476d1ce4e5b9U;
  return hash % 2;
}

std::size_t report(std::uint32_t seed) {
  text page;
  for (std::uint32_t i = 0; i < 8'000; ++i) page += std::to_string(std::sqrt(seed + i)) + "\n";
  return page.size();
}

}  // namespace

int main(int argc, char** argv) {
  const double seconds = argc > 1 ? std::atof(argv[1]) : 2;
  const fs::path folder = argc > 2 ? argv[2] : ".";
  struct handler {
    const char* name;
    std::size_t (*run)(std::uint32_t);
  };
  const std::array handlers{handler{"/search", search}, handler{"/login", login},
                            handler{"/report", report}};
  whence::cpu_session cpu;
  whence::wall_session wall;
  std::uint32_t requests = 0;
  {
    pool workers(std::clamp(std::thread::hardware_concurrency(), 2U, 8U));
    const auto end = std::chrono::steady_clock::now() + std::chrono::duration<double>(seconds);
    for (; std::chrono::steady_clock::now() < end; ++requests) {
      const handler& h = handlers[requests % handlers.size()];
      const whence::scoped_labels scope{{"handler", h.name},
                                        {"tenant", requests % 4 == 0 ? "acme" : "umbrella"}};
      workers.post([&h, requests] { h.run(requests); });
      while (workers.waiting() > 64) std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
  }
  std::printf("%u requests\n", requests);
  bool failed = false;
  const auto check = [&failed](std::error_code error, const char* what) {
    if (error) failed = std::fprintf(stderr, "%s: %s\n", what, error.message().c_str()) != 0;
  };
  check(cpu.write_to(folder / "cpu.pb.gz"), "cpu");
  check(wall.write_to(folder / "wall.pb.gz"), "wall");
  check(whence::lookup("heap")->write_to(folder / "heap.pb.gz"), "heap");
  check(whence::lookup("block")->write_to(folder / "block.pb.gz"), "block");
  return failed ? 1 : 0;
}
