// SPDX-License-Identifier: Apache-2.0
//
// Two translation units of one program share every profile, and each frees the other's memory.
#include <cstdio>
#include <string>

#include "shared.hpp"

static int failures = 0;

static void expect(bool truth, const char* what) {
  if (!truth) {
    std::fprintf(stderr, "two_units: %s\n", what);
    ++failures;
  }
}

int main() {
  whence::set_heap_profile_rate(1);
  {
    numbers there = made_there();
    expect(there.size() == 1000, "the vector lost its elements");
  }
  session here;
  expect(whence::lookup("heap") == heap_there(), "heap differs between the units");
  expect(whence::lookup("app.sessions") == sessions_there(), "app.sessions differs");
  expect(sessions_there() != nullptr && sessions_there()->count() == 1,
         "app.sessions does not hold the one entry");

  std::string text;
  expect(!whence::lookup("heap")->write_to(text, 1), "the heap profile could not be written");
  expect(text.find("heap profile: ") == 0, "the heap profile is not one");
  return failures == 0 ? 0 : 1;
}
