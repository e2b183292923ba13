// SPDX-License-Identifier: Apache-2.0
//
// What a reading says about names that it lacks.
#include <doctest/doctest.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <new>
#include <string>
#include <string_view>

#include "support/sanitizers.hpp"
#include <whence/symbols/symbolizer.hpp>

namespace {

using whence::symbols::location;
using whence::symbols::symbolizer;

[[gnu::noinline]] int named_function() {
  asm volatile("");
  return 1;
}

const std::uintptr_t pc = reinterpret_cast<std::uintptr_t>(&named_function) + 1;

[[gnu::noinline]] int other_function() {
  asm volatile("");
  return 2;
}

const std::uintptr_t other_pc = reinterpret_cast<std::uintptr_t>(&other_function) + 1;

bool says(symbolizer& names, std::string_view what) {
  const auto notes = names.notes();
  return std::any_of(notes.begin(), notes.end(),
                     [what](const std::string& n) { return n.find(what) != n.npos; });
}
bool says_why(symbolizer& names) {
  return says(names, "could not be read");
}

// No file can be opened during its lifetime.
class no_files {
 public:
  no_files() {
    ::getrlimit(RLIMIT_NOFILE, &before_);
    const ::rlimit none{0, before_.rlim_max};
    REQUIRE(::setrlimit(RLIMIT_NOFILE, &none) == 0);
  }
  ~no_files() { ::setrlimit(RLIMIT_NOFILE, &before_); }
  no_files(const no_files&) = delete;
  no_files& operator=(const no_files&) = delete;

 private:
  ::rlimit before_{};
};

}  // namespace

TEST_CASE("a name that could not be read a moment ago is said to be missing in each reading") {
  if (sanitized) return;  // UBSan needs a descriptor to look whether memory may be read
  symbolizer names;
  const no_files none;
  for (int i = 0; i < 3; ++i) {
    const symbolizer::reading open(names);
    (void)names.resolve(pc);
    CHECK(says_why(names));
  }
}

TEST_CASE("what a name lacks is said in the readings that have it, and no other name lacks it") {
  if (sanitized) return;
  symbolizer names;
  {
    const no_files none;
    const symbolizer::reading open(names);
    (void)names.resolve(pc);
    CHECK(says_why(names));
  }
  {
    const symbolizer::reading open(names);
    CHECK(names.resolve(pc).frames.back().name.starts_with("["));
    // It was not asked for before, so it does not wait for the second to pass.
    CHECK(names.resolve(other_pc).frames.back().name.find("other_function") !=
          std::string_view::npos);
    // Whatever is found meanwhile, one reading has one answer.
    CHECK(names.resolve(pc).frames.back().name.starts_with("["));
    CHECK(says_why(names));
  }
  {
    const symbolizer::reading open(names);
    (void)names.resolve(other_pc);
    CHECK_FALSE(says_why(names));
  }
  const symbolizer::reading open(names);
  CHECK(names.resolve(pc).frames.back().name.find("named_function") != std::string_view::npos);
  CHECK_FALSE(says_why(names));
}

TEST_CASE("a list of mapped code that could not be read is said to be missing, and read again") {
  if (sanitized) return;
  symbolizer names;
  {
    const no_files none;
    const symbolizer::reading open(names);
    CHECK(names.mappings().empty());
    CHECK(says(names, "list of mapped code (/proc/thread-self/maps) could not be read"));
  }
  const symbolizer::reading open(names);
  CHECK_FALSE(names.mappings().empty());
  CHECK_FALSE(says(names, "list of mapped code"));
}

TEST_CASE("memory that ends while symbols are read leaves no wrong name") {
  if (sanitized) return;  // their address space is unlimited
  const ::pid_t child = ::fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    long pages = 0;
    std::FILE* const f = std::fopen("/proc/self/statm", "r");
    if (f == nullptr || std::fscanf(f, "%ld", &pages) != 1) ::_exit(2);
    std::fclose(f);
    int lost = 0;
    for (rlim_t more = 64 << 10; more <= 4 << 20; more += 64 << 10) {
      const ::rlimit few{static_cast<rlim_t>(pages) * 4096 + more, RLIM_INFINITY};
      ::setrlimit(RLIMIT_AS, &few);
      try {
        symbolizer names;
        const symbolizer::reading open(names);
        const location& at = names.resolve(pc);
        const bool is_named =
            at.frames.back().name.find("named_function") != std::string_view::npos;
        if (!is_named && at.function_start != 0) ::_exit(3);  // another function's
        lost += is_named ? 0 : 1;
      } catch (const std::bad_alloc&) {
        ++lost;
      }
    }
    ::_exit(lost > 0 ? 0 : 4);
  }
  int status = -1;
  ::waitpid(child, &status, 0);
  CHECK(status == 0);
}
