// SPDX-License-Identifier: Apache-2.0
//
// A known load under a CPU profiler: `cpu_profile_by_X MODE HZ THREADS SECONDS [OUT]`. HZ 0 does
// not profile. stdout shows what the profile should say, in CPU seconds:
//
//   split    share_70, share_20, share_10: what their names say, for SECONDS of CPU time altogether
//   shares   thread_10 to thread_40: 4 threads that take 10 to 40 % of SECONDS of wall time
//   busy     the same work each time, about SECONDS of CPU time in each thread
//   libc     SECONDS of CPU time in each thread, in the C library and the callers of it
//   window   of the process, from the profile's start to its stop
//   process  of the process, from its own start
//
// Half of the threads exist and have worked before the profile starts, half come later.
// bench/cpu.py runs it and its peers; bench/peers/cpu_profile.go is the same in Go.
#include <atomic>
#include <functional>
#include <mutex>

#include "cpu_profiler.hpp"
#include "cpu_workload.hpp"

namespace {

using namespace workload;

std::mutex parts_lock;
std::vector<part> parts;

void report(const part& p) {
  const std::lock_guard hold(parts_lock);
  for (part& known : parts) {
    if (std::strcmp(known.name, p.name) == 0) {
      known.seconds += p.seconds;
      return;
    }
  }
  parts.push_back(p);
}

// The work of thread number `i` in that mode.
std::function<void(unsigned)> load(const std::string& mode, int threads, double seconds) {
  if (mode == "split") {
    return [=](unsigned i) {
      for (const part& p : split(seconds / threads, i)) report(p);
    };
  }
  if (mode == "shares") {
    return [=](unsigned i) {
      static constexpr std::array<part, 4> each{
          {{"thread_10", 0.1}, {"thread_20", 0.2}, {"thread_30", 0.3}, {"thread_40", 0.4}}};
      static constexpr std::array<double (*)(double), 4> call{thread_10, thread_20, thread_30,
                                                              thread_40};
      report({each[i % 4].name, part_time(call[i % 4], each[i % 4].seconds, seconds, i)});
    };
  }
  if (mode == "busy") return [=](unsigned) { busy(seconds); };
  if (mode == "libc") return [=](unsigned i) { report({"libc_load", libc_load(seconds, i)}); };
  return {};
}

}  // namespace

int main(int argc, char** argv) {
  const int hz = argc > 4 ? std::atoi(argv[2]) : 0;
  const int threads = argc > 4 ? std::atoi(argv[3]) : 0;
  const auto run = argc > 4 ? load(argv[1], threads, std::atof(argv[4])) : nullptr;
  if (!run || threads < 1 || (hz > 0 && argc < 6)) {
    std::fprintf(stderr, "%s split|shares|busy|libc HZ THREADS SECONDS [OUT]\n", argv[0]);
    return 2;
  }

  const auto early = static_cast<unsigned>(threads + 1) / 2;
  std::atomic<unsigned> ready{0};
  std::atomic<bool> go{false};
  std::vector<std::thread> all;
  for (unsigned i = 0; i < early; ++i) {
    all.emplace_back([&, i] {
      before_start(0.005);
      ++ready;
      ready.notify_one();
      go.wait(false);
      run(i);
    });
  }
  for (unsigned now = ready; now < early; now = ready) ready.wait(now);
  if (hz > 0 && !profiler::start(hz, argv[5])) return 1;
  const double begin = process_seconds();
  go = true;
  go.notify_all();
  for (auto i = early; i < static_cast<unsigned>(threads); ++i) all.emplace_back(run, i);
  for (std::thread& t : all) t.join();
  const double end = process_seconds();
  if (hz > 0) profiler::stop();

  for (const part& p : parts) std::printf("%s %.6f\n", p.name, p.seconds);
  std::printf("window %.6f\nprocess %.6f\n", end - begin, process_seconds());
}
