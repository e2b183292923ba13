// SPDX-License-Identifier: Apache-2.0
//
// Without /proc, as in a chroot, the threads that are known anyway are sampled.
#include <doctest/doctest.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

#include <string>

#include "support/cpu_probe.hpp"
#include "support/sanitizers.hpp"
#include "support/ticks.hpp"
#include <whence/cpu.hpp>
#include <whence/wall.hpp>

using namespace whence;
using namespace whence_tests;

namespace {

std::int64_t sampled_ns(const profile_snapshot& s) {
  std::int64_t ns = 0;
  for (const profile_row& row : s.rows) {
    if (row.stack[0] >= tables::pseudo::end) ns += row.values[1];
  }
  return ns;
}

bool says_not_listed(const profile_snapshot& s) {
  for (const std::string& c : s.header.comments) {
    if (c.find("could not be listed") != c.npos) return true;
  }
  return false;
}

}  // namespace

TEST_CASE("without /proc the thread that begins a session is sampled, and the profile says so") {
  if (sanitized) return;
  const ::pid_t child = ::fork();
  if (child == 0) {
    ::alarm(60);
    if (::unshare(CLONE_NEWNS) != 0 ||
        ::mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0 ||
        ::mount("none", "/proc", "tmpfs", 0, nullptr) != 0) {
      ::_exit(0);  // only root may
    }
    const cpu_session cpu({.hz = 100});
    const wall_session wall({.hz = 100});
    compute_ticks(50, 10'000'000);
    const profile_snapshot c = cpu.snapshot();
    const profile_snapshot w = wall.snapshot();
    const bool all_said = says_not_listed(c) && says_not_listed(w);
    ::_exit(sampled_ns(c) < 300'000'000 ? 1 : sampled_ns(w) < 300'000'000 ? 2 : all_said ? 0 : 3);
  }
  int status = 1;
  REQUIRE(::waitpid(child, &status, 0) == child);
  CHECK(status == 0);
}
