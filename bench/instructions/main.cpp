// SPDX-License-Identifier: Apache-2.0
//
// `instructions NAME COUNT` runs one operation COUNT times, in a process of two threads.
// `instructions --list` prints all names.
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <string_view>
#include <thread>

#include "operations.hpp"
#include <whence/profile.hpp>

int main(int count, char** arguments) {
  if (count < 3) {
    for (const operation& o : operations()) std::puts(o.name);
    return 0;
  }
  // What is recorded can be read in this program.
  if (whence::lookup("heap") == nullptr) return 1;
  // glibc skips atomic instructions while there is one thread. The other thread sleeps before the
  // count begins: the pipe tells us so, without a loop that would be counted.
  static int ready[2];
  if (::pipe(ready) != 0) return 1;
  std::thread([] {
    const char sign = 0;
    if (::write(ready[1], &sign, 1) == 1) ::pause();
  }).detach();
  char sign = 0;
  if (::read(ready[0], &sign, 1) != 1) return 1;

  const std::string_view name = arguments[1];
  const int times = std::atoi(arguments[2]);
  for (const operation& o : operations()) {
    if (name != o.name) continue;
    for (int i = 0; i < times; ++i) o.run();
    ::_exit(0);
  }
  std::fprintf(stderr, "no operation %s\n", arguments[1]);
  return 1;
}
