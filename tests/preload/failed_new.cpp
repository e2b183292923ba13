// SPDX-License-Identifier: Apache-2.0
//
// An operator new that has failed leaves the thread's next samples as they were, over an allocator
// with operators of its own, too. What is sampled begins a page.
//
//   WHENCE_HEAP_RATE=65536 LD_PRELOAD=libwhole.so:liballocator.so failed_new
#include <cstdint>
#include <cstdio>
#include <new>
#include <vector>

namespace {

// Sampled blocks of 60 MB: 915 are expected, and few blocks of that size begin a page otherwise.
int count_sampled() {
  constexpr int count = 20'000;
  std::vector<void*> blocks;
  blocks.reserve(count);
  int aligned = 0;
  for (int i = 0; i < count; ++i) {
    blocks.push_back(::operator new(3000));
    if (reinterpret_cast<std::uintptr_t>(blocks.back()) % 4096 == 0) ++aligned;
  }
  for (void* const block : blocks) ::operator delete(block);
  return aligned;
}

}  // namespace

int main() {
  volatile std::size_t too_much = std::size_t{1} << 62;
  // Without them an allocator may say what part of such blocks begins a page by chance.
  const int before = count_sampled();
  for (int i = 0; i < 3; ++i) {
    try {
      ::operator delete(::operator new(too_much));
      return 1;
    } catch (const std::bad_alloc&) {
    }
  }
  const int after = count_sampled();
  std::printf("failed_new: %d blocks begin a page before a failure, %d after it\n", before, after);
  return after < before - 300;
}
