// SPDX-License-Identifier: Apache-2.0
//
// Sessions sample the threads that live at once even if the stacks have used all their memory.
#include <doctest/doctest.h>
#include <sys/wait.h>
#include <unistd.h>

#include "support/cpu_probe.hpp"
#include "support/sanitizers.hpp"
#include <whence/cpu.hpp>
#include <whence/state/process_state.hpp>
#include <whence/wall.hpp>

using namespace whence;
using namespace whence_tests;

// Runs in a child, whose samplers know no thread yet.
TEST_CASE("threads are sampled even if the share of the stacks is full") {
  if (thread_sanitized) return;  // it allows no new thread in the child
  const pid_t child = ::fork();
  if (child == 0) {
    state::attached().budget.stacks.set_limit(0);
    cpu_session cpu;
    wall_session wall;
    compute_until(this_thread_ns() + 500 * ms);
    cpu.stop();
    wall.stop();
    const bool has_cpu = time_through(cpu.snapshot(), "compute_until") > 200 * ms;
    const bool has_wall = time_through(wall.snapshot(), "compute_until") > 200 * ms;
    ::_exit((has_cpu ? 0 : 1) + (has_wall ? 0 : 2));
  }
  int status = -1;
  CHECK(::waitpid(child, &status, 0) == child);
  CHECK(status == 0);
}
