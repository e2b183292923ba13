// SPDX-License-Identifier: Apache-2.0
//
// What it costs to serve a heap profile of a million stacks: the time, and how far memory grows at
// its peak. Go's is peers/serve_heap.go. Each form is requested three times; the figures are the
// median of the times and the largest peak.
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <span>
#include <string>
#include <system_error>

#include <whence/allocator.hpp>
#include <whence/http.hpp>
#include <whence/knobs.hpp>
#include <whence/profile.hpp>
#include <whence/sys/proc_task.hpp>

namespace {

constexpr int levels = 20;  // two call sites each: 2^20 stacks

void* keep(int left, std::uint32_t way) {
  if (left == 0) return whence::tracking_allocator<char>().allocate(64);
  void* block = nullptr;
  if ((way >> left & 1) != 0) {
    block = keep(left - 1, way);
    asm volatile("" ::: "memory");  // two return addresses
  } else {
    block = keep(left - 1, way);
    asm volatile("nop" ::: "memory");
  }
  return block;
}

std::int64_t resident_bytes() {
  long pages = 0, resident = 0;
  std::FILE* const file = std::fopen("/proc/self/statm", "r");
  if (file == nullptr || std::fscanf(file, "%ld %ld", &pages, &resident) != 2) std::abort();
  std::fclose(file);
  return resident * ::sysconf(_SC_PAGESIZE);
}

// Resets the peak, so that it covers only what follows.
void forget_peak() {
  const int file = ::open("/proc/self/clear_refs", O_WRONLY);
  if (file < 0 || ::write(file, "5", 1) != 1) std::abort();
  ::close(file);
}

void ask(const char* target) {
  std::array<double, 3> ms{};
  std::int64_t peak = 0;
  std::size_t size = 0;
  for (double& one : ms) {
    forget_peak();
    const std::int64_t before = resident_bytes();
    const auto begin = std::chrono::steady_clock::now();
    size = 0;
    whence::http::response_head head;
    const auto count = [&](std::span<const std::byte> bytes) {
      size += bytes.size();
      return std::error_code{};
    };
    if (whence::http::handle({.target = target}, head, count) || head.status != 200) std::abort();
    one =
        std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - begin).count();
    peak = std::max(peak, whence::sys::max_rss_bytes() - before);
  }
  std::sort(ms.begin(), ms.end());
  std::printf("%-44s %8.0f ms %7.1f MB more at the peak, %6.1f MB sent\n", target, ms[1],
              static_cast<double>(peak) / 1e6, static_cast<double>(size) / 1e6);
}

}  // namespace

int main() {
  whence::set_memory_limit(std::size_t{2} << 30);
  whence::set_heap_profile_rate(1);
  for (std::uint32_t way = 0; way < 1U << levels; ++way) {
    if (keep(levels, way << 1) == nullptr) std::abort();
  }
  std::printf("%zu stacks, %.0f MB resident\n", whence::lookup("heap")->count(),
              static_cast<double>(resident_bytes()) / 1e6);
  ask("/debug/pprof/heap");
  ask("/debug/pprof/heap?debug=1");
  ask("/debug/pprof/heap?seconds=1");
  ask("/debug/pprof/heap?format=folded");
  ask("/debug/pprof/heap?format=json");
}
