// SPDX-License-Identifier: Apache-2.0
//
// What a wall-clock session costs a process whose threads sleep: `wall_sleepers`. It prints the CPU
// time of the process in percent of one processor, over seconds with and without a session at 99
// Hz, and checks that all of their time is in the profile.
#include <time.h>
#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <thread>
#include <vector>

#include <whence/wall.hpp>

namespace {

double cpu_seconds() {
  ::timespec t{};
  ::clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
  return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_nsec) * 1e-9;
}

double percent_of_a_processor(unsigned seconds) {
  const double before = cpu_seconds();
  ::sleep(seconds);
  return (cpu_seconds() - before) / seconds * 100;
}

}  // namespace

int main() {
  std::size_t threads = 0;
  for (const std::size_t wanted : {10U, 100U, 1000U, 2000U}) {
    for (; threads < wanted; ++threads) {
      std::thread([] {
        for (;;) ::pause();
      }).detach();
    }
    ::sleep(1);
    const double without = percent_of_a_processor(2);
    whence::wall_session session;
    ::sleep(1);
    const double with = percent_of_a_processor(4);
    session.stop();
    const whence::profile_snapshot s = session.snapshot();
    double seen = 0;
    for (const whence::profile_row& row : s.rows) seen += static_cast<double>(row.values[1]);
    const double all = static_cast<double>(s.header.duration_ns) * static_cast<double>(wanted + 1);
    std::printf(
        "%5zu threads asleep: %.2f %% of a processor, %.2f %% without; %.1f %% of their time "
        "seen\n",
        wanted, with, without, seen / all * 100);
    std::fflush(stdout);
  }
  ::_exit(0);
}
