// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>
#include <sys/mman.h>
#include <sys/resource.h>

#include <array>
#include <cstddef>
#include <cstdint>

#include "support/function_bounds.hpp"
#include <whence/sys/arena.hpp>
#include <whence/unwind/capture.hpp>

using namespace whence;

namespace {

constinit unwind::unwinder::storage storage{};
constinit sys::memory_budget budget{std::size_t{1} << 20};
constinit sys::arena arena{budget};
constinit unwind::unwinder unwinder{storage, arena};

struct captured {
  std::array<std::uintptr_t, 64> pcs{};
  std::size_t depth = 0;
  bool knows_modules = false;
};

[[gnu::noinline]] void instrument(captured& c) {
  c.knows_modules = unwinder.find_modules();
  unwind::trace t{c.pcs.data(), c.pcs.size()};
  unwind::capture(unwinder, t, __builtin_return_address(0));
  c.depth = t.depth;
}
void (*volatile call_instrument)(captured&) = &instrument;

WHENCE_TEST_FUNCTION(no_memory_caller)
void caller(captured& c) {
  call_instrument(c);
  asm volatile("");
}
void (*volatile call_caller)(captured&) = &caller;

bool can_map() {
  void* const page =
      ::mmap(nullptr, sys::page_bytes, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (page != MAP_FAILED) ::munmap(page, sys::page_bytes);
  return page != MAP_FAILED;
}

}  // namespace

TEST_CASE("without memory for the list of modules walks end early, and later ones are whole") {
  rlimit usual{};
  REQUIRE(::getrlimit(RLIMIT_AS, &usual) == 0);
  rlimit none = usual;
  none.rlim_cur = 1;
  captured without, with;
  REQUIRE(::setrlimit(RLIMIT_AS, &none) == 0);
  const bool is_limited = !can_map();
  if (is_limited) {
    for (int i = 0; i < 3; ++i) call_caller(without);
  }
  ::setrlimit(RLIMIT_AS, &usual);
  if (!is_limited) return;  // qemu does not keep the limit
  CHECK_FALSE(without.knows_modules);
  REQUIRE(without.depth > 0);
  call_caller(with);
  CHECK(with.knows_modules);
  REQUIRE(with.depth > 3);
  CHECK(whence_tests::in_function(with.pcs[0], WHENCE_TEST_BOUNDS(no_memory_caller)));
  // The test runner's main and the start of the program.
  captured again;
  call_caller(again);
  CHECK(again.depth == with.depth);
}
