// SPDX-License-Identifier: Apache-2.0
//
// A plugin frees blocks unseen, and the allocator hands out their addresses again, as smaller
// blocks that are not sampled: malloc_usable_size tells no more than those have. All of it is
// written, which the allocator itself would notice.
//
//   LD_PRELOAD=libwhole.so stale PLUGIN
#include <dlfcn.h>
#include <malloc.h>
#include <stdlib.h>
#include <string.h>

#include <cstdint>
#include <cstdio>
#include <vector>

namespace {
constexpr std::size_t large = 40'000, small = 100;
constexpr int count = 4000;
}  // namespace

int main(int, char** argv) {
  void* const plugin = ::dlopen(argv[1], RTLD_NOW | RTLD_DEEPBIND);
  if (plugin == nullptr) return std::fprintf(stderr, "%s\n", ::dlerror()), 1;
  const auto deep_free = reinterpret_cast<void (*)(void*)>(::dlsym(plugin, "deep_free"));
  std::vector<void*> blocks;
  for (int i = 0; i < count; ++i) blocks.push_back(::malloc(large));
  for (void* const block : blocks) deep_free(block);
  blocks.clear();
  int wrong = 0;
  for (int i = 0; i < count; ++i) {
    void* block = nullptr;  // aligned as a sampled one is, for the same addresses
    if (::posix_memalign(&block, 4096, small) != 0) return 1;
    if (::malloc_usable_size(block) >= large) ++wrong;
    blocks.push_back(block);
  }
  if (wrong == 0) {
    for (void* const block : blocks) ::memset(block, 1, ::malloc_usable_size(block));
  }
  for (void* const block : blocks) ::free(block);
  std::printf("stale: %d of %d small blocks have the size of a large one\n", wrong, count);
  return wrong != 0;
}
