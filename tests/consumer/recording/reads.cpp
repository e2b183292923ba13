// SPDX-License-Identifier: Apache-2.0
#include <string>

#include "records.hpp"
#include <whence/profile.hpp>

extern "C" const char* read_profile(const char* name) {
  static std::string text;
  text.clear();
  if (whence::profile* const p = whence::lookup(name)) {
    if (p->write_to(text, 1)) text.clear();
  }
  return text.c_str();
}

extern "C" void set_rate(long bytes) {
  whence::set_heap_profile_rate(bytes);
}
