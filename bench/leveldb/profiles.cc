// SPDX-License-Identifier: Apache-2.0
//
// The one file of the program that reads: linked into a program of leveldb's, it writes what was
// recorded when the program ends, as text, into the folder that the environment names.
#include <cstdlib>
#include <filesystem>
#include <string>
#include <system_error>

#include <whence/whence.hpp>

namespace {

struct written_at_exit {
  ~written_at_exit() {
    const char* const folder = std::getenv("LEVELDB_PROFILES");
    if (folder == nullptr) return;
    for (const char* name : {"allocs", "block", "mutex"}) {
      const std::filesystem::path path =
          std::filesystem::path(folder) / (std::string(name) + ".txt");
      if (whence::lookup(name)->write_to(path, 1)) std::abort();
    }
  }
};
const written_at_exit profiles;

}  // namespace
