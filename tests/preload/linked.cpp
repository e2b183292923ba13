// SPDX-License-Identifier: Apache-2.0
//
// A program that includes malloc.hpp itself: at rate 1 every function of the family counts to the
// byte, before any other and after a change of the rate.
#include <malloc.h>
#include <stdlib.h>
#include <string.h>

#include <cstdio>

#include <whence/core/counters.hpp>
#include <whence/malloc.hpp>
#include <whence/whence.hpp>

namespace {

int mistakes = 0;

std::int64_t in_use() {
  std::int64_t sum = 0;
  whence::lookup("heap")->rows().for_each(
      [&sum](const whence::tables::bucket& b) { sum += whence::core::read_heap(b).in_use.bytes; });
  return sum;
}

void expect(const char* what, std::int64_t before, std::int64_t more) {
  const std::int64_t found = in_use() - before;
  if (found == more) return;
  std::fprintf(stderr, "linked: %s: %lld bytes, not %lld\n", what, static_cast<long long>(found),
               static_cast<long long>(more));
  ++mistakes;
}

// A block of `bytes` that `make` returns is in use until it is freed.
template <class Make>
void lives(const char* what, std::int64_t bytes, Make make) {
  const std::int64_t before = in_use();
  void* volatile block = make();
  if (block == nullptr) ++mistakes;
  expect(what, before, bytes);
  ::free(block);
  expect(what, before, 0);
}

}  // namespace

int main() {
  whence::set_heap_profile_rate(1);
  ::free(::malloc(1));
  lives("malloc", 100, [] { return ::malloc(100); });
  lives("malloc of no bytes", 0, [] { return ::malloc(0); });
  lives("calloc", 300, [] { return ::calloc(100, 3); });
  lives("realloc of nothing", 50, [] { return ::realloc(nullptr, 50); });
  lives("realloc", 5000, [] { return ::realloc(::malloc(100), 5000); });
  lives("realloc in place", 40, [] { return ::realloc(::malloc(5000), 40); });
  lives("reallocarray", 5000, [] { return ::reallocarray(::malloc(10), 50, 100); });
  lives("a large realloc", 9'000'000, [] { return ::realloc(::malloc(5'000'000), 9'000'000); });
  lives("aligned_alloc", 256, [] { return ::aligned_alloc(128, 256); });
  lives("memalign", 100, [] { return ::memalign(64, 100); });
  lives("valloc", 77, [] { return ::valloc(77); });
  lives("pvalloc", 77, [] { return ::pvalloc(77); });
  lives("posix_memalign", 33, [] {
    void* block = nullptr;
    return ::posix_memalign(&block, 32, 33) == 0 ? block : nullptr;
  });
  lives("strdup", 12, [] { return static_cast<void*>(::strdup("eleven + 0.")); });
  lives("operator new", 1000, [] { return ::operator new(1000); });

  // What fails changes nothing: neither the old block of a realloc, nor the next sample.
  const std::int64_t before = in_use();
  void* const block = ::malloc(100);
  volatile std::size_t too_much = std::size_t{1} << 60;
  if (::realloc(block, too_much) != nullptr || ::malloc(too_much) != nullptr) ++mistakes;
  too_much = std::size_t{0} - 4096;
  if (::malloc(too_much) != nullptr || ::calloc(too_much, too_much) != nullptr) ++mistakes;
  expect("after failures", before, 100);
  ::free(block);
  expect("after failures", before, 0);
  lives("malloc after failures", 100, [] { return ::malloc(100); });

  whence::set_heap_profile_rate(0);
  lives("malloc without sampling", 0, [] { return ::malloc(100); });
  whence::set_heap_profile_rate(1);
  lives("malloc with sampling again", 100, [] { return ::malloc(100); });
  if (mistakes == 0) std::puts("linked: every function counts to the byte");
  return mistakes != 0;
}
