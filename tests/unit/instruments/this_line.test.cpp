// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include <limits>
#include <string>

#include <whence/instruments/this_line.hpp>

using namespace whence;

TEST_CASE("a line is named by the last part of its file's path and its number") {
  const auto shown = [](const char* file, int line) {
    return std::string(static_cast<std::string_view>(this_line(file, line)));
  };
  CHECK(shown("/home/me/src/cache.cpp", 12) == "cache.cpp:12");
  CHECK(shown("cache.cpp", 1) == "cache.cpp:1");
  CHECK(shown("src/", 7) == ":7");
  CHECK(shown("", 0) == ":0");
  CHECK(shown("a.cpp", std::numeric_limits<int>::max()) == "a.cpp:2147483647");
  const std::string longest(255, 'x');
  CHECK(shown(("dir/" + longest).c_str(), std::numeric_limits<int>::max()) ==
        longest + ":2147483647");
  CHECK(shown((longest + "yz").c_str(), 3) == longest + ":3");
}

TEST_CASE("without arguments it is the line of the call") {
  const std::string line(static_cast<std::string_view>(this_line()));
  CHECK(line == "this_line.test.cpp:" + std::to_string(__LINE__ - 1));
}
