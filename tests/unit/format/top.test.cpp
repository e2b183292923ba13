// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include <cstdint>
#include <string>
#include <vector>

#include <whence/format/top.hpp>
#include <whence/profile.hpp>

using namespace whence;

namespace {

void recurse(profile& p, std::uint64_t value, int depth);
void (*volatile call)(profile&, std::uint64_t, int) = &recurse;
void recurse(profile& p, std::uint64_t value, int depth) {
  if (depth > 0) {
    call(p, value, depth - 1);
  } else {
    p.add(value);
  }
  asm volatile("");
}

void other(profile& p, std::uint64_t value) {
  p.add(value);
  asm volatile("");
}
void (*volatile call_other)(profile&, std::uint64_t) = &other;

}  // namespace

TEST_CASE("functions are sorted by their own value, and a recursion counts once") {
  profile& p = new_profile("top.values");
  for (std::uint64_t i = 0; i < 3; ++i) call(p, i, 5);
  call_other(p, 10);
  std::string table;
  REQUIRE_FALSE(write_top(table, p.snapshot(), 2));
  CHECK(table ==
        "      flat  flat%        cum   cum%\n"
        "         3  75.0%          3  75.0%  (anonymous namespace)::recurse\n"
        "         1  25.0%          1  25.0%  (anonymous namespace)::other\n");
  CHECK(write_top("/nonexistent/folder/top", p.snapshot()) == std::errc::no_such_file_or_directory);
}

TEST_CASE("an empty profile is a table without rows") {
  std::string table;
  CHECK_FALSE(write_top(table, lookup("block")->snapshot()));
  CHECK(table == "      flat  flat%        cum   cum%\n");
}

TEST_CASE("amounts are scaled as pprof shows them") {
  CHECK(format::human(0, "bytes") == "0B");
  CHECK(format::human(1023, "bytes") == "1023B");
  CHECK(format::human(1536, "bytes") == "1.50kB");
  CHECK(format::human(std::int64_t{5} << 30, "bytes") == "5.00GB");
  CHECK(format::human(1'500'000, "nanoseconds") == "1.50ms");
  CHECK(format::human(12, "count") == "12");
}
