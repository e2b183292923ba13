// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>
#include <pthread.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <span>

#include "own_unwinder.hpp"
#include "support/function_bounds.hpp"
#include <whence/unwind/capture.hpp>

using namespace whence;

namespace {

struct captured {
  std::array<std::uintptr_t, 64> pcs{};
  std::size_t depth = 0;
  bool truncated = false;
};

// The shape of an instrument: one function of ours, never inlined, that asks for its own return
// address.
[[gnu::noinline]] void instrument(captured& c, std::size_t capacity, std::size_t skip) {
  unwind::trace t{c.pcs.data(), capacity};
  unwind::capture(whence_tests::own_unwinder(), t, __builtin_return_address(0), skip);
  c.depth = t.depth;
  c.truncated = t.truncated;
}
void (*volatile call_instrument)(captured&, std::size_t, std::size_t) = &instrument;

void outer(captured& c, int depth, std::size_t capacity, std::size_t skip);
void (*volatile call_outer)(captured&, int, std::size_t, std::size_t) = &outer;

WHENCE_TEST_FUNCTION(capture_inner)
void inner(captured& c, std::size_t capacity, std::size_t skip) {
  call_instrument(c, capacity, skip);
  asm volatile("");
}
WHENCE_TEST_FUNCTION(capture_outer)
void outer(captured& c, int depth, std::size_t capacity, std::size_t skip) {
  if (depth > 1) {
    call_outer(c, depth - 1, capacity, skip);
  } else {
    inner(c, capacity, skip);
  }
  asm volatile("");
}

bool in_inner(std::uintptr_t pc) {
  return whence_tests::in_function(pc, WHENCE_TEST_BOUNDS(capture_inner));
}
bool in_outer(std::uintptr_t pc) {
  return whence_tests::in_function(pc, WHENCE_TEST_BOUNDS(capture_outer));
}

}  // namespace

TEST_CASE("a capture begins in the caller of the instrument, and has every caller in order") {
  captured c;
  outer(c, 3, c.pcs.size(), 0);
  REQUIRE(c.depth > 6);
  CHECK(in_inner(c.pcs[0]));
  for (std::size_t i = 1; i <= 3; ++i) CHECK(in_outer(c.pcs[i]));
  CHECK_FALSE(in_outer(c.pcs[4]));
  CHECK_FALSE(c.truncated);
}

TEST_CASE("skip leaves out frames of the caller's side") {
  captured c;
  outer(c, 3, c.pcs.size(), 1);
  CHECK(in_outer(c.pcs[0]));
  outer(c, 3, c.pcs.size(), 4);
  CHECK_FALSE(in_outer(c.pcs[0]));
  outer(c, 3, c.pcs.size(), 10'000);
  CHECK(c.depth == 0);
}

TEST_CASE("a stack deeper than there is room keeps the leaf end and says that it is cut") {
  captured c;
  outer(c, 30, 5, 0);
  CHECK(c.depth == 5);
  CHECK(c.truncated);
  CHECK(in_inner(c.pcs[0]));
  CHECK(in_outer(c.pcs[4]));
}

TEST_CASE("a stack that just fits is not cut") {
  captured c;
  outer(c, 3, c.pcs.size(), 0);
  captured exact;
  outer(exact, 3, c.depth, 0);
  CHECK(exact.depth == c.depth);
  CHECK_FALSE(exact.truncated);
}

TEST_CASE("a capture keeps errno, and works on the smallest stack a thread may have") {
  const auto least = static_cast<std::size_t>(::sysconf(_SC_THREAD_STACK_MIN)) + 16 * 1024;
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  REQUIRE(pthread_attr_setstacksize(&attributes, least) == 0);
  static captured c;
  pthread_t thread;
  REQUIRE(pthread_create(
              &thread, &attributes,
              [](void*) -> void* {
                errno = EXDEV;
                outer(c, 3, c.pcs.size(), 0);
                return errno == EXDEV ? &c : nullptr;
              },
              nullptr) == 0);
  void* kept = nullptr;
  pthread_join(thread, &kept);
  pthread_attr_destroy(&attributes);
  CHECK(kept == &c);
  CHECK(in_inner(c.pcs[0]));
}
