// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include <cstddef>
#include <cstdint>
#include <string>

#include "support/sanitizers.hpp"
#include "support/temp_dir.hpp"
#include "support/text.hpp"
#include <whence/instruments/settings_table.hpp>
#include <whence/knobs.hpp>
#include <whence/profile.hpp>

using namespace whence;
using whence_tests::temp_dir;

TEST_CASE("the next change returns the rate, which is clamped to its range") {
  const std::int64_t before = set_heap_profile_rate(1000);
  CHECK(before == 512 * 1024);
  CHECK(set_heap_profile_rate(-7) == 1000);
  CHECK(set_heap_profile_rate(std::int64_t{1} << 60) == 0);
  CHECK(set_heap_profile_rate(before) == std::int64_t{1} << 40);
  CHECK(lookup("heap")->snapshot().header.period == before);
}

TEST_CASE("the knobs of waits return what was set, clamped to their ranges") {
  const std::int64_t block = set_block_profile_rate(1000);
  CHECK(block == 1);
  CHECK(set_block_profile_rate(INT64_MAX) == 1000);
  CHECK(set_block_profile_rate(INT64_MIN) == std::int64_t{1} << 50);
  CHECK(set_block_profile_rate(block) == 0);
  const int fraction = set_mutex_profile_fraction(INT32_MAX);
  CHECK(fraction == 1);
  CHECK(set_mutex_profile_fraction(INT32_MIN) == 1'000'000);
  CHECK(set_mutex_profile_fraction(0) == 1'000'000);
  CHECK(set_mutex_profile_fraction(fraction) == 0);
  const std::int64_t hold = set_mutex_hold_profile_rate(INT64_MAX);
  CHECK(hold == 1000);
  CHECK(set_mutex_hold_profile_rate(-1) == 1'000'000);
  CHECK(set_mutex_hold_profile_rate(hold) == 0);
}

TEST_CASE("the table in docs/guarantees.md has each setting's function, variable and start value") {
  const std::string text = whence_tests::text_of(WHENCE_INCLUDE_DIR "/../docs/guarantees.md");
  REQUIRE(!text.empty());
  for (const instruments::setting_info& row : instruments::settings) {
    const std::size_t start = text.find(std::string("| `") + row.function + "(");
    REQUIRE_MESSAGE(start != std::string::npos, row.function);
    const std::string line = text.substr(start, text.find('\n', start) - start);
    CAPTURE(line);
    CHECK(line.find(std::string("| `") + row.environment + "` | " + std::to_string(row.at_start) +
                    " |") != std::string::npos);
    CHECK(line.find(row.meaning) != std::string::npos);
    if (*row.in_go != '\0') CHECK(line.find(row.in_go) != std::string::npos);
  }
}

// The output of a program that is started with the given environment.
TEST_CASE("start values come from the environment, and invalid ones are reported") {
  if (sanitized) return;
  const temp_dir shop;
  shop.write("p.cpp", R"(
#include <cstdio>
#include <whence/profile.hpp>
int main() {
  const auto& s = whence::state::attached();
  std::printf("%lld %d %zu\n", static_cast<long long>(whence::set_heap_profile_rate(1)),
              s.stack_depth.load(), s.budget.limit());
  std::printf("%lld %d %lld\n", static_cast<long long>(whence::set_block_profile_rate(1)),
              whence::set_mutex_profile_fraction(-1),
              static_cast<long long>(whence::set_mutex_hold_profile_rate(1)));
}
)");
  shop.run(temp_dir::compiler() + " -std=c++20 -DWHENCE_WITH_ZLIB=0 -DWHENCE_WITH_LIBDW=0 -I '" +
           std::string(WHENCE_INCLUDE_DIR) + "' p.cpp -o p");
  CHECK(shop.run("./p") == "524288 128 268435456\n1 1 1000\n");
  CHECK(shop.run("WHENCE_BLOCK_RATE=20000 WHENCE_MUTEX_FRACTION=10 WHENCE_MUTEX_HOLD_RATE=0 ./p") ==
        "524288 128 268435456\n20000 10 0\n");
  CHECK(shop.run("WHENCE_HEAP_RATE=4096 WHENCE_STACK_DEPTH=1024 WHENCE_MEMORY_LIMIT=1000000 ./p") ==
        "4096 1024 1000000\n1 1 1000\n");
  CHECK(shop.run("WHENCE_HEAP_RATE=0 ./p") == "0 128 268435456\n1 1 1000\n");
  for (const char* nonsense :
       {"WHENCE_HEAP_RATE=often", "WHENCE_STACK_DEPTH=1025",
        "WHENCE_HEAP_RATE=99999999999999999999", "WHENCE_STACK_DEPTH=0", "WHENCE_MEMORY_LIMIT=-1",
        "WHENCE_HEAP_RATE=1k", "WHENCE_BLOCK_RATE=-1", "WHENCE_MUTEX_FRACTION=1000001"}) {
    const std::string name(nonsense, std::string(nonsense).find('='));
    CHECK(shop.run(std::string(nonsense) + " ./p") ==
          "whence: ignored, not a number in range: " + name + "\n524288 128 268435456\n1 1 1000\n");
  }
}
