// SPDX-License-Identifier: Apache-2.0
//
// A large calloc touches no page, and a large realloc copies none: the peak of resident memory is
// what it is without the library, which the first run prints. jemalloc begins large blocks at any
// cache line of a page, so that a sampled one is copied once.
//
//   peaks > FILE;  LD_PRELOAD=libwhole.so peaks "$(cat FILE)" [COPIED_MIB]
#include <sys/resource.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>

namespace {

long peak_kib() {
  rusage use{};
  ::getrusage(RUSAGE_SELF, &use);
  return use.ru_maxrss;
}

constexpr std::size_t mib = std::size_t{1} << 20;

}  // namespace

int main(int argc, char** argv) {
  void* blocks[20];
  int mistakes = 0;
  for (void*& block : blocks) {
    block = ::calloc(200, mib);
    if (block == nullptr || static_cast<char*>(block)[77 * mib] != 0) ++mistakes;
  }
  for (void* const block : blocks) ::free(block);
  const long callocs = peak_kib();

  // One page in sixteen holds something, so a copy would touch much more.
  auto* grown = static_cast<char*>(::malloc(mib));
  for (std::size_t size = 2; size <= 256; size *= 2) {
    grown[(size / 2 - 1) * mib] = 1;
    auto* const next = static_cast<char*>(::realloc(grown, size * mib));
    if (next == nullptr || next[(size / 2 - 1) * mib] != 1) ++mistakes;
    if (next != nullptr) grown = next;
  }
  const long reallocs = peak_kib();
  ::free(grown);

  if (argc < 2) {
    std::printf("%ld %ld\n", callocs, reallocs);
    return mistakes;
  }
  long plain_callocs = 0, plain_reallocs = 0;
  if (std::sscanf(argv[1], "%ld %ld", &plain_callocs, &plain_reallocs) != 2) return 2;
  std::printf("peaks: 20 x calloc of 200 MiB %ld KiB (%ld without), realloc to 256 MiB %ld (%ld)\n",
              callocs, plain_callocs, reallocs, plain_reallocs);
  constexpr long slack = 16 * 1024;  // the library itself, and its tables
  const long copied = argc > 2 ? std::atol(argv[2]) * 1024 : 0;
  if (callocs > plain_callocs + slack || reallocs > plain_reallocs + slack + copied) ++mistakes;
  return mistakes;
}
