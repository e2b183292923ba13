// SPDX-License-Identifier: Apache-2.0
//
// A user's first program, built by every way to get the library. It writes a heap profile to the
// given path and reports where it failed.
#include <cstdio>
#include <filesystem>
#include <vector>

#include <whence/whence.hpp>

struct session {
  whence::tracked<whence::custom_profile<"app.sessions">> entry;
};

[[gnu::noinline]] void fill(std::vector<int, whence::tracking_allocator<int>>& numbers) {
  numbers.assign(100'000, 7);
}

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fputs("usage: main profile.pb.gz\n", stderr);
    return 2;
  }
  whence::set_heap_profile_rate(1);
  std::vector<int, whence::tracking_allocator<int>> numbers;
  fill(numbers);

  session one, two;
  whence::profile* sessions = whence::lookup("app.sessions");
  if (sessions == nullptr || sessions->count() != 2) {
    std::fputs("app.sessions does not hold two entries\n", stderr);
    return 1;
  }
  if (auto error = whence::lookup("heap")->write_to(std::filesystem::path(argv[1]))) {
    std::fprintf(stderr, "heap profile: %s\n", error.message().c_str());
    return 1;
  }
  return 0;
}
