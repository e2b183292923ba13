// SPDX-License-Identifier: Apache-2.0
//
// Compiled with -fno-exceptions -fno-rtti: everything works except throwing on misuse. With an
// argument, the program misuses the library, which ends it with the exception's message.
#include <cstdio>
#include <string>
#include <vector>

#include <whence/whence.hpp>

int main(int argc, char**) {
  whence::set_heap_profile_rate(1);
  std::vector<int, whence::tracking_allocator<int>> numbers(1000);
  whence::tracked<whence::custom_profile<"app.sessions">> entry;

  std::string text;
  if (auto error = whence::lookup("heap")->write_to(text, 0)) {
    std::fprintf(stderr, "heap profile: %s\n", error.message().c_str());
    return 1;
  }
  if (argc > 1) {
    whence::new_profile("heap");
  }
  return text.empty() || whence::lookup("app.sessions")->count() != 1 ? 1 : 0;
}
