// SPDX-License-Identifier: Apache-2.0
//
// Uses CPU time and measures it by each thread's own clock: so the expected profile is known,
// however busy the machine is. Functions whose names a profile shows are never inlined, and take a
// random time between 0.3 and 3 ms a call, so that they are never in step with a sampler.
#ifndef WHENCE_BENCH_CPU_WORKLOAD_HPP
#define WHENCE_BENCH_CPU_WORKLOAD_HPP

#include <sys/resource.h>
#include <time.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <numeric>
#include <random>
#include <string>
#include <thread>
#include <vector>

namespace workload {

inline double thread_seconds() {
  timespec t{};
  ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
  return static_cast<double>(t.tv_sec) + 1e-9 * static_cast<double>(t.tv_nsec);
}

// User and system time of the whole process.
inline double process_seconds() {
  rusage r{};
  ::getrusage(RUSAGE_SELF, &r);
  return static_cast<double>(r.ru_utime.tv_sec + r.ru_stime.tv_sec) +
         1e-6 * static_cast<double>(r.ru_utime.tv_usec + r.ru_stime.tv_usec);
}

inline thread_local volatile unsigned sink;

// Dependent work, about a nanosecond a step.
[[gnu::always_inline]] inline unsigned steps(unsigned x, int n) {
  for (int i = 0; i < n; ++i) x = x * 1'664'525 + 1'013'904'223;
  return x;
}

// Uses `seconds` of this thread's CPU time; returns the time it really used. The clock is a system
// call, and is read every 50 us or so, for one percent of the time. `Id` stops linkers and
// compilers from merging equal functions.
template <int Id>
[[gnu::always_inline]] inline double burn(double seconds) {
  const double begin = thread_seconds();
  double now = begin;
  while (now - begin < seconds) {
    sink = steps(sink + Id, 50'000);
    now = thread_seconds();
  }
  return now - begin;
}

[[gnu::noinline]] inline double before_start(double s) {
  return burn<0>(s);
}
[[gnu::noinline]] inline double share_70(double s) {
  return burn<1>(s);
}
[[gnu::noinline]] inline double share_20(double s) {
  return burn<2>(s);
}
[[gnu::noinline]] inline double share_10(double s) {
  return burn<3>(s);
}
[[gnu::noinline]] inline double thread_10(double s) {
  return burn<4>(s);
}
[[gnu::noinline]] inline double thread_20(double s) {
  return burn<5>(s);
}
[[gnu::noinline]] inline double thread_30(double s) {
  return burn<6>(s);
}
[[gnu::noinline]] inline double thread_40(double s) {
  return burn<7>(s);
}

// CPU seconds of each function.
struct part {
  const char* name;
  double seconds = 0;
};

// 70, 20 and 10 % of `seconds` of CPU time, to 50 us: the function most behind is called next, and
// the last calls are as short as necessary.
inline std::array<part, 3> split(double seconds, unsigned seed) {
  constexpr std::array<double (*)(double), 3> call{share_70, share_20, share_10};
  constexpr std::array<double, 3> share{0.7, 0.2, 0.1};
  std::array<part, 3> done{{{"share_70"}, {"share_20"}, {"share_10"}}};
  std::mt19937 random(seed);
  std::uniform_real_distribution<double> length(0.3e-3, 3e-3);
  for (double all = 0; all < seconds;) {
    std::size_t next = 0;
    const auto behind = [&](std::size_t i) { return share[i] * all - done[i].seconds; };
    for (const std::size_t i : {1UL, 2UL}) {
      if (behind(i) > behind(next)) next = i;
    }
    const double left = share[next] * seconds - done[next].seconds;
    const double took = call[next](std::min(length(random), std::max(left, 20e-6)));
    done[next].seconds += took;
    all += took;
  }
  return done;
}

// `seconds` of wall time: `call` takes `share` of it, sleep the rest, in turns of 4 to 16 ms.
inline double part_time(double (*call)(double), double share, double seconds, unsigned seed) {
  using clock = std::chrono::steady_clock;
  std::mt19937 random(seed);
  std::uniform_real_distribution<double> length(4e-3, 16e-3);
  const auto begin = clock::now();
  const auto end = begin + std::chrono::duration<double>(seconds);
  auto turn = std::chrono::duration_cast<std::chrono::duration<double>>(begin.time_since_epoch());
  double all = 0;
  while (clock::now() < end) {
    const double each = length(random);
    all += call(share * each);
    turn += std::chrono::duration<double>(each);
    std::this_thread::sleep_until(
        std::chrono::time_point<clock, std::chrono::duration<double>>(turn));
  }
  return all;
}

// A microsecond of work over 4 KiB, twenty frames deep.
[[gnu::noinline]] inline unsigned busy_frame(int depth, unsigned x) {
  static thread_local std::array<unsigned, 1024> data{};
  if (depth > 0) {
    const unsigned below = busy_frame(depth - 1, x);
    asm volatile("" ::: "memory");
    return below + 1;
  }
  for (int i = 0; i < 50; ++i) x = data[x >> 22] = steps(x, 20);
  return x;
}

// The same work every time: a second of it is about a CPU second of a current processor.
[[gnu::noinline]] inline void busy(double seconds) {
  const auto rounds = static_cast<long>(seconds * 1e6);
  unsigned x = 1;
  for (long i = 0; i < rounds; ++i) x = busy_frame(20, x);
  sink = x;
}

inline int by_number(const void* a, const void* b) {
  const double x = std::strtod(*static_cast<const char* const*>(a), nullptr);
  const double y = std::strtod(*static_cast<const char* const*>(b), nullptr);
  return (x > y) - (x < y);
}

// Formats texts with printf, sorts them through a callback of qsort, and copies them between blocks
// of malloc: nearly all time is in libc, at stacks of 5 to 35 frames.
[[gnu::noinline]] inline std::size_t libc_frame(std::mt19937& random, int depth) {
  if (depth > 0) {
    const std::size_t below = libc_frame(random, depth - 1);
    asm volatile("" ::: "memory");
    return below + 1;
  }
  std::array<char*, 64> texts;
  char text[64];
  for (char*& t : texts) {
    const int n = std::snprintf(text, sizeof text, "%.6g", static_cast<double>(random()) * 1e-3);
    t = static_cast<char*>(std::malloc(static_cast<std::size_t>(n) + 1 + random() % 200));
    std::memcpy(t, text, static_cast<std::size_t>(n) + 1);
  }
  std::qsort(texts.data(), texts.size(), sizeof(char*), by_number);
  const std::size_t block = 1024 + random() % 30'000;
  auto* const from = static_cast<char*>(std::calloc(1, block));
  auto* const to = static_cast<char*>(std::malloc(block));
  for (int i = 0; i < 8; ++i) std::memcpy(to, from, block), from[i] = texts[0][0];
  std::size_t sum = std::strlen(texts[7]) + static_cast<unsigned char>(to[block - 1]);
  std::free(from);
  std::free(to);
  for (char* t : texts) std::free(t);
  return sum;
}

[[gnu::noinline]] inline double libc_load(double seconds, unsigned seed) {
  std::mt19937 random(seed);
  const double begin = thread_seconds();
  double now = begin;
  std::size_t sum = 0;
  while (now - begin < seconds) {
    for (int i = 0; i < 4; ++i) sum += libc_frame(random, static_cast<int>(random() % 31));
    now = thread_seconds();
  }
  sink = static_cast<unsigned>(sum);
  return now - begin;
}

}  // namespace workload

#endif  // WHENCE_BENCH_CPU_WORKLOAD_HPP
