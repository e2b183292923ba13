// SPDX-License-Identifier: Apache-2.0
//
// A filter of system calls that kills, as service managers set it.
#include <doctest/doctest.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstddef>
#include <cstdlib>
#include <string>
#include <thread>

#include "support/child.hpp"
#include "support/cpu_probe.hpp"
#include "support/sanitizers.hpp"
#include "support/wait_probe.hpp"
#include <whence/cpu.hpp>
#include <whence/labels.hpp>
#include <whence/wall.hpp>

using namespace whence;
using namespace whence_tests;

namespace {

bool kill_for_two_calls() {
  sock_filter code[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_perf_event_open, 2, 0),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_process_vm_readv, 1, 0),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
  };
  const sock_fprog program{5, code};
  return ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
         ::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

bool has_comment(const profile_snapshot& s, std::string_view word) {
  for (const std::string& line : s.header.comments) {
    if (line.find(word) != std::string::npos) return true;
  }
  return false;
}

// Runs `body` in a child of fork under the filter, and returns its exit status.
template <class Body>
int under_filter(Body body) {
  return whence_tests::in_child([&] { return kill_for_two_calls() ? body() : 99; });
}

}  // namespace

TEST_CASE("sessions and dumps make no system call for which a filter may kill") {
  if (sanitized) return;
  CHECK(under_filter([] {
          cpu_session session({.hz = 1000});
          compute_until(this_thread_ns() + 300'000'000);
          session.stop();
          const profile_snapshot found = session.snapshot();
          if (!has_comment(found, "seccomp")) return 1;
          return time_through(found, "compute_until") > 100'000'000 ? 0 : 2;
        }) == 0);
  CHECK(under_filter([] {
          std::thread sleeper([] { sleep_ms(400); });
          wall_session session({.hz = 100});
          sleep_ms(300);
          session.stop();
          const profile_snapshot found = session.snapshot();
          sleeper.join();
          return time_through(found, "sleep_ms") > 300'000'000 ? 0 : 1;
        }) == 0);
  CHECK(under_filter([] {
          std::thread sleeper([] { sleep_ms(200); });
          sleep_ms(50);
          std::string text;
          const bool wrong = static_cast<bool>(lookup("goroutine")->write_to(text, 2));
          sleeper.join();
          return !wrong && text.find("sleep_ms") != std::string::npos ? 0 : 1;
        }) == 0);
}

TEST_CASE("the program may declare that its filter allows the needed calls") {
  if (sanitized) return;
  CHECK(under_filter([] {
          ::setenv("WHENCE_SECCOMP", "ignore", 1);
          sys::look_for_filter();
          return sys::is_filtered ? 1 : 0;
        }) == 0);
}
