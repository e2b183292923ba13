// SPDX-License-Identifier: Apache-2.0
//
// Writes a profile of every kind to the given folder, in both formats, for the clients to read:
// clients.test.sh runs it beside the indexer.
#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <mutex>
#include <string>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include <whence/whence.hpp>

namespace {

[[gnu::noinline]] void grow(std::vector<int, whence::tracking_allocator<int>>& v) {
  for (int i = 0; i < 10'000; ++i) v.push_back(i);
}

int recurse(int depth) {
  whence::tracked<whence::custom_profile<"app.deep-stacks">> entry;
  return depth == 0 ? 0 : recurse(depth - 1) + 1;
}

// Two locks with names and one without have waiters; and a hold of each is timed.
template <class Lock>
[[gnu::noinline]] void contend(Lock& lock) {
  std::atomic<bool> held{false};
  std::thread holder([&] {
    const std::lock_guard hold(lock);
    held = true;
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  });
  while (!held) std::this_thread::yield();
  { const std::lock_guard hold(lock); }
  holder.join();
}

[[gnu::noinline]] void render(double seconds) {
  volatile double x = 1;
  const auto end = std::chrono::steady_clock::now() + std::chrono::duration<double>(seconds);
  while (std::chrono::steady_clock::now() < end) {
    for (int i = 0; i < 1000; ++i) x = x * 1.0000001;
  }
}

// Each handler computes for its part of the time and sleeps the rest.
[[gnu::noinline]] void serve() {
  for (const auto& [handler, part] : {std::pair{"/search", 0.3}, {"/login", 0.1}}) {
    const whence::scoped_labels scope{{"handler", handler}, {"tenant", "a \"b\""}};
    render(part);
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
  }
}

bool save(const whence::profile& p, const std::string& folder, const char* suffix, int debug) {
  const std::string path = folder + "/" + std::string(p.name()) + suffix;
  const std::error_code error = p.write_to(path.c_str(), debug);
  if (error) std::fprintf(stderr, "%s: %s\n", path.c_str(), error.message().c_str());
  return !error;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) return 2;
  whence::set_heap_profile_rate(1);
  std::vector<int, whence::tracking_allocator<int>> numbers;
  grow(numbers);
  whence::set_heap_profile_rate(4096);  // two rates at one stack make one row
  grow(numbers);
  whence::set_max_stack_depth(10);
  whence::tracked<whence::custom_profile<"app.deep-stacks">> kept;
  std::vector<decltype(kept)> copies(5, kept);
  recurse(30);
  whence::profile& values = whence::new_profile("app.values");
  for (std::uint64_t i = 0; i < 3; ++i) values.add(i);
  whence::set_mutex_hold_profile_rate(1);
  whence::tracked_mutex<> plain, orders{"orders"};
  whence::tracked_mutex<std::recursive_timed_mutex> odd{"a \"b\"\n\tc"};
  contend(plain);
  for (int i = 0; i < 20; ++i) contend(orders);
  contend(odd);
  whence::cpu_session cpu({.hz = 250});
  whence::wall_session wall({.hz = 250});
  serve();
  cpu.stop();
  wall.stop();
  bool written = !cpu.write_to((std::string(argv[1]) + "/cpu.pb.gz").c_str()) &&
                 !wall.write_to((std::string(argv[1]) + "/wall.pb.gz").c_str());
  for (const whence::profile* p : whence::profiles()) {
    written = save(*p, argv[1], ".pb.gz", 0) && save(*p, argv[1], ".txt", 1) && written;
  }
  return written ? 0 : 1;
}
