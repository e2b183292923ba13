// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>
#include <unistd.h>

#include <cstdint>

#include "support/temp_dir.hpp"
#include <whence/sys/available_memory.hpp>

using namespace whence;

TEST_CASE("available memory is more than zero, and at most the machine's") {
  const auto bytes = sys::available_memory();
  REQUIRE(bytes.has_value());
  const auto all = static_cast<std::uint64_t>(::sysconf(_SC_PHYS_PAGES)) *
                   static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
  CHECK(*bytes > 0);
  CHECK(*bytes <= all);
}

TEST_CASE("a number in a small file is read, and a word in its place gives none") {
  const whence_tests::temp_dir shop;
  shop.write("meminfo", "MemTotal:       100 kB\nMemAvailable:     42 kB\n");
  shop.write("limit", "1073741824\n");
  shop.write("none", "max\n");
  CHECK(sys::number_in_file(shop.path("meminfo").c_str(), "MemAvailable:") == std::uint64_t{42});
  CHECK(sys::number_in_file(shop.path("limit").c_str(), "") == std::uint64_t{1073741824});
  CHECK_FALSE(sys::number_in_file(shop.path("none").c_str(), "").has_value());
  CHECK_FALSE(sys::number_in_file(shop.path("absent").c_str(), "").has_value());
}
