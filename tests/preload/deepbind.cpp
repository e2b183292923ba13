// SPDX-License-Identifier: Apache-2.0
//
// Blocks that a plugin frees unseen, and that it makes unseen, harm nothing: every sampled block is
// the allocator's own. Over an allocator that is itself preloaded, the plugin's functions are the C
// library's, which must not get blocks of the other: there only memory of its own is exchanged.
//
//   LD_PRELOAD=libwhole.so deepbind PLUGIN
#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>

#include <cstdio>

int main(int, char** argv) {
  void* const plugin = ::dlopen(argv[1], RTLD_NOW | RTLD_DEEPBIND);
  if (plugin == nullptr) return std::fprintf(stderr, "%s\n", ::dlerror()), 1;
  const auto deep_malloc = reinterpret_cast<void* (*)(std::size_t)>(::dlsym(plugin, "deep_malloc"));
  const auto deep_free = reinterpret_cast<void (*)(void*)>(::dlsym(plugin, "deep_free"));
  const char* const preloaded = ::getenv("LD_PRELOAD");
  const bool is_same = preloaded == nullptr || ::strchr(preloaded, ':') == nullptr;
  for (int i = 0; i < 100'000; ++i) {
    const auto bytes = static_cast<std::size_t>(i % 3000 + 1);
    void* const ours = ::malloc(bytes);
    void* const theirs = deep_malloc(bytes);
    if (ours == nullptr || theirs == nullptr) return 1;
    ::memset(ours, 1, bytes);
    ::memset(theirs, 2, bytes);
    if (is_same) {
      deep_free(ours);
      ::free(theirs);
    } else {
      deep_free(theirs);
      ::free(ours);
    }
  }
  std::puts("deepbind: 200000 blocks");
  return 0;
}
