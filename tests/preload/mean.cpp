// SPDX-License-Identifier: Apache-2.0
//
// What the profile says is in use is right in the mean: twenty times the same blocks are made, and
// the mean of the profile's sums is within 3 sqrt(rate / (20 total)) of the truth, relatively. The
// standard deviation of one sum is at most sqrt(rate x total), so that is 3 standard deviations,
// which a right implementation misses in 3 of 1000 runs: the test then tries once more.
#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>

#include <cmath>
#include <cstdint>
#include <cstdio>

int main() {
  using heap_function = void(std::int64_t(&sums)[4]);
  auto* const heap = reinterpret_cast<heap_function*>(::dlsym(RTLD_DEFAULT, "test_heap"));
  if (heap == nullptr) return 2;
  const char* const asked = ::getenv("WHENCE_HEAP_RATE");
  const double rate = asked == nullptr ? 524288 : ::atof(asked);
  constexpr int runs = 20, count = 40'000;
  static void* blocks[count];
  for (int attempt = 0; attempt < 2; ++attempt) {
    double found = 0, total = 0;
    std::uint64_t random = 88172645463325252;
    for (int run = 0; run < runs; ++run) {
      std::int64_t before[4], now[4];
      heap(before);
      for (void*& block : blocks) {
        random = random * 6364136223846793005 + 1442695040888963407;
        const std::size_t bytes = (random >> 33) % ((random >> 60) == 0 ? 20'000 : 300) + 1;
        block = ::malloc(bytes);
        total += static_cast<double>(bytes) / runs;
      }
      heap(now);
      found += static_cast<double>(now[3] - before[3]) / runs;
      for (void* const block : blocks) ::free(block);
    }
    const double bound = 3 * std::sqrt(rate / (runs * total));
    std::printf("mean: %.0f bytes, the profile has %.0f: %+.4f of it, at most %.4f\n", total, found,
                found / total - 1, bound);
    if (std::abs(found / total - 1) <= bound) return 0;
  }
  return 1;
}
