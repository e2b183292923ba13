// SPDX-License-Identifier: Apache-2.0
//
// `no_memory`: the kernel refuses the library all memory from the start. The program goes on, and
// so does its use of profiles, which are all there. What happens once there is memory is recorded.
#include <sys/resource.h>

#include <cstddef>
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
  if (whence::lookup("heap") == nullptr || whence::lookup("mutex") == nullptr) return 1;
  const std::size_t without = entries::get().count();
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_AS, &limit);
  entries::get().add(memory);
  std::printf("%zu entries without memory, %zu with\n", without, entries::get().count());
  return without == 0 && entries::get().count() == 1 ? 0 : 1;
}
