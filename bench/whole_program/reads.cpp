// SPDX-License-Identifier: Apache-2.0
//
// What a program with <whence/new_delete.hpp> includes in the file that reads, so that it records.
#include <cstdlib>
#include <string>

#include <whence/new_delete.hpp>
#include <whence/profile.hpp>

namespace {
struct at_exit {
  ~at_exit() {
    std::string text;
    if (std::getenv("CHURN_PROFILE") != nullptr && whence::write_heap_profile(text)) std::abort();
  }
} profile;
}  // namespace
