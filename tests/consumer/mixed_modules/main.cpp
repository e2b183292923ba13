// SPDX-License-Identifier: Apache-2.0
//
// A program and a plugin, only one of which is compiled with WHENCE_DISABLE. They share no class of
// the library, so this is allowed: only the one without it records.
#include <dlfcn.h>

#include <cstdio>
#include <mutex>
#include <string>
#include <vector>

#include <whence/whence.hpp>

// Not inlined, and named in the profile if its module records.
[[gnu::noinline]] static std::size_t program_allocates() {
  whence::tracked_mutex<> m;
  const std::scoped_lock hold(m);
  std::vector<int, whence::tracking_allocator<int>> numbers(100'000);
  numbers.push_back(1);
  return numbers.size();
}

int main(int, char** argv) {
  whence::set_heap_profile_rate(1);
  void* const library = dlopen(argv[1], RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) {
    std::fprintf(stderr, "%s\n", dlerror());
    return 2;
  }
  const auto plugin = reinterpret_cast<std::size_t (*)()>(dlsym(library, "plugin_allocates"));
  const bool have_allocated =
      program_allocates() == 100'001 && plugin != nullptr && plugin() == 100'001;
  std::string text;
  const bool is_written = !whence::lookup("allocs")->write_to(text, 1);
  const auto names = [&text](const char* function) {
    return text.find(function) != std::string::npos ? 1 : 0;
  };
  std::printf("program %d, plugin %d\n", names("program_allocates"), names("plugin_allocates"));
  return have_allocated && is_written ? 0 : 1;
}
