// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>
#include <sys/mman.h>

#include <cstddef>
#include <cstdint>
#include <vector>

#include <whence/state/process_state.hpp>
#include <whence/whence.hpp>

using namespace whence;

extern "C" {
extern char __bss_start;  // NOLINT(bugprone-reserved-identifier): the linker's
extern char _end;         // NOLINT(bugprone-reserved-identifier)
}

TEST_CASE("the root's memory lies in .bss") {
  const auto at = reinterpret_cast<std::uintptr_t>(&state::own_memory);
  CHECK(at >= reinterpret_cast<std::uintptr_t>(&__bss_start));
  CHECK(at + sizeof state::own_memory <= reinterpret_cast<std::uintptr_t>(&_end));
  static_assert(sizeof state::own_memory < 1024 * 1024);
}

TEST_CASE("attaching yields the module's own root, with all predefined profiles") {
  state::process_state& s = state::attached();
  CHECK(&s == &state::own_state);
  CHECK(&state::attached() == &s);
  for (const char* name : {"heap", "allocs", "block", "mutex", "mutex_hold", "threadcreate"}) {
    CHECK(lookup(name) != nullptr);
  }
}
