// SPDX-License-Identifier: Apache-2.0
//
// Handlers run on a thread's alternate stack, which may be small.
#include <doctest/doctest.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <thread>
#include <vector>

#include "support/cpu_probe.hpp"
#include "support/sanitizers.hpp"
#include <whence/cpu.hpp>
#include <whence/wall.hpp>

using namespace whence;
using namespace whence_tests;

namespace {

struct outcome {
  std::size_t changed = 0;  // bytes below the stack
  bool is_sampled = false, is_said = false;
};

bool says_no_room(const profile_snapshot& s) {
  for (const std::string& c : s.header.comments) {
    if (c.find("had no room") != c.npos) return true;
  }
  return false;
}

bool has_stack(const profile_snapshot& s) {
  for (const profile_row& row : s.rows) {
    if (row.stack[0] >= tables::pseudo::end) return true;
  }
  return false;
}

// A thread of its own computes, with an alternate stack that is as large as a signal's frame and
// so many bytes more.
outcome with_room(std::size_t bytes) {
  constexpr std::size_t below = 64 * 1024;
  // On some processors a frame is smaller than the smallest stack that the kernel takes.
  constexpr std::size_t least = 2048;
  const std::size_t size =
      std::max(least, static_cast<std::size_t>(::sysconf(_SC_MINSIGSTKSZ))) + bytes;
  std::vector<unsigned char> memory(below + size, 0xa5);
  outcome result;
  std::thread([&] {
    stack_t small{};
    small.ss_sp = memory.data() + below;
    small.ss_size = size;
    REQUIRE(::sigaltstack(&small, nullptr) == 0);
    {
      const cpu_session cpu({.hz = 250});
      compute_until(this_thread_ns() + 300'000'000);
      const profile_snapshot s = cpu.snapshot();
      result.is_sampled = has_stack(s);
      result.is_said = says_no_room(s);
    }
    small.ss_flags = SS_DISABLE;
    ::sigaltstack(&small, nullptr);
  }).join();
  for (std::size_t i = 0; i < below; ++i) result.changed += memory[i] != 0xa5 ? 1 : 0;
  return result;
}

}  // namespace

TEST_CASE("nothing below a small alternate stack is written to, and lost samples are counted") {
  if (sanitized) return;  // its handlers need more
  for (std::size_t bytes = 0; bytes <= 4096; bytes += 256) {
    CAPTURE(bytes);
    const outcome o = with_room(bytes);
    // The kernel's frame is all that fits in the smallest one: the handler needs a little to see
    // it.
    CHECK(o.changed <= (bytes < 256 ? 256 : 0));
    CHECK((o.is_sampled || o.is_said));
  }
}

TEST_CASE("a thread with an alternate stack of usual size is sampled") {
  if (sanitized) return;
  CHECK(with_room(16 * 1024).is_sampled);
}
