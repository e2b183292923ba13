// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include <atomic>

#include <whence/sys/service_thread.hpp>

namespace {

void count(void* counter) {
  ++*static_cast<std::atomic<int>*>(counter);
}

}  // namespace

TEST_CASE("a service thread whose function ends at once has begun, and is joined") {
  std::atomic<int> runs{0};
  whence::sys::service_thread thread;
  for (int i = 0; i < 2000; ++i) {
    REQUIRE(thread.start(&count, &runs, "ends at once") == 0);
    thread.stop();
    CHECK_FALSE(thread.runs());
  }
  CHECK(runs == 2000);
  CHECK(thread.cpu_ns() > 0);
}
