// SPDX-License-Identifier: Apache-2.0
//
// Stacks of a statically linked program reach main, in all ways to take them. g++'s program has no
// .eh_frame_hdr.
#include <time.h>

#include <cstdio>
#include <string>

#include <whence/cpu.hpp>
#include <whence/tracked.hpp>
#include <whence/wall.hpp>
#include <whence/whence.hpp>

using sessions = whence::custom_profile<"app.sessions">;

namespace {

int mistakes = 0;

bool reaches_main(const whence::profile_row& row) {
  // The last frames are main, its caller in libc, and _start.
  return row.stack.size() >= 4 && !row.truncated;
}

void check(const whence::profile_snapshot& s, const char* what) {
  std::size_t whole = 0;
  for (const whence::profile_row& row : s.rows) whole += reaches_main(row) ? 1 : 0;
  std::printf("%s: %zu of %zu stacks reach main\n", what, whole, s.rows.size());
  mistakes += whole > 0 ? 0 : 1;
}

[[gnu::noinline]] void compute() {
  volatile double x = 1;
  for (int i = 0; i < 50'000'000; ++i) x = x * 1.0000001 + 0.5;
}

[[gnu::noinline]] void rest() {
  timespec t{0, 200'000'000};
  ::nanosleep(&t, nullptr);
}

}  // namespace

int main() {
  const whence::tracked<sessions> entry;
  check(sessions::get().snapshot(), "entry");
  const whence::cpu_session cpu;
  compute();
  check(cpu.snapshot(), "cpu");
  const whence::wall_session wall;
  rest();
  check(wall.snapshot(), "wall");
  return mistakes;
}
