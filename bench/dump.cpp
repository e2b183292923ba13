// SPDX-License-Identifier: Apache-2.0
//
// What a dump of all threads costs: 100 and 1000 threads that sleep 24 frames deep, by ours, and by
// the debuggers that can do it, which stop them all. peers/goroutine.go does it with as many
// goroutines. The figures are medians.
#include <poll.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <thread>
#include <vector>

#include <whence/whence.hpp>

namespace {

constexpr int depth = 20;  // libc's and the thread's own come on top
int door[2];
std::atomic<int> asleep{0};

[[gnu::noinline]] int sleep_deep(int left) {
  if (left > 0) {
    const int below = sleep_deep(left - 1);
    asm volatile("");  // keeps one frame for each call
    return below + 1;
  }
  ++asleep;
  pollfd p{door[0], POLLIN, 0};
  return ::poll(&p, 1, -1);
}

template <class F>
double median_ms(int runs, F&& f) {
  std::vector<double> times;
  for (int i = 0; i < runs; ++i) {
    const auto begin = std::chrono::steady_clock::now();
    f();
    times.push_back(
        std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - begin)
            .count());
  }
  std::sort(times.begin(), times.end());
  return times[times.size() / 2];
}

void write(int debug) {
  std::string text;
  if (whence::lookup("goroutine")->write_to(text, debug)) std::abort();
}

void by_tool(const char* tool, const std::string& arguments, int threads) {
  if (std::system((std::string("command -v ") + tool + " >/dev/null").c_str()) != 0) {
    std::printf("%-36s not installed\n", tool);
    return;
  }
  const std::string command = std::string(tool) + " " + arguments + " >/dev/null 2>&1";
  const double ms = median_ms(3, [&] { (void)std::system(command.c_str()); });
  std::printf("%-36s %5d threads %10.2f ms\n", tool, threads, ms);
}

}  // namespace

int main() {
  ::prctl(PR_SET_PTRACER, PR_SET_PTRACER_ANY, 0, 0, 0);
  if (::pipe(door) != 0) return 1;
  std::vector<std::thread> threads;
  for (const int count : {100, 1000}) {
    while (static_cast<int>(threads.size()) < count) {
      threads.emplace_back([] { sleep_deep(depth); });
    }
    while (asleep < count) ::usleep(1000);
    ::usleep(50'000);
    const auto line = [count](const char* what, double ms) {
      std::printf("%-36s %5d threads %10.2f ms\n", what, count, ms);
    };
    line("whence, stacks", median_ms(31, [] { (void)whence::lookup("goroutine")->snapshot(); }));
    line("whence, debug=0 with symbols", median_ms(11, [] { write(0); }));
    line("whence, debug=2", median_ms(11, [] { write(2); }));
    const std::string pid = std::to_string(::getpid());
    by_tool("gdb", "-batch -ex 'thread apply all bt' -p " + pid, count);
    by_tool("eu-stack", "-p " + pid, count);
    std::fflush(stdout);
  }
  ::close(door[1]);
  for (std::thread& t : threads) t.join();
}
