// SPDX-License-Identifier: Apache-2.0
//
// `no_memory`: the kernel refuses the library all memory from the start. Nothing is recorded; the
// program goes on, and so does its use of profiles.
#include <sys/resource.h>

#include <cstdio>

#include <whence/whence.hpp>

using entries = whence::custom_profile<"modules.entries">;

int main() {
  rlimit limit{};
  getrlimit(RLIMIT_AS, &limit);
  limit.rlim_cur = 1;
  setrlimit(RLIMIT_AS, &limit);
  char memory[64];
  {
    const whence::tracked<entries> entry;
    whence::tracked_mutex<> m{"orders"};
    m.lock();
    m.unlock();
    const whence::scoped_labels labels{{"a", "b"}};
  }
  entries::get().add(memory);
  std::printf("%zu entries\n", entries::get().count());
  return entries::get().count() == 0 ? 0 : 1;
}
