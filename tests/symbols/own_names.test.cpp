// SPDX-License-Identifier: Apache-2.0
#include <cxxabi.h>
#include <doctest/doctest.h>

#include <cstdlib>
#include <string>
#include <typeinfo>

#include <whence/symbols/demangle.hpp>
#include <whence/symbols/own_names.hpp>
#include <whence/tracked.hpp>

using namespace whence;

TEST_CASE("our own names are shown as in source code") {
  using entry = tracked<basic_custom_profile<"app.sessions", true>>;
  const std::string name = symbols::demangle(std::string("_Z1f") + typeid(entry).name());
  CHECK(name.find("(char)97") != std::string::npos);
  CHECK(symbols::as_written(name) ==
        "f(whence::tracked<whence::basic_custom_profile<\"app.sessions\", true>, true>)");
}

TEST_CASE("other names, and names that only look like ours, are not changed") {
  for (const char* name :
       {"main", "", "std::vector<int>::push_back(int&&)", "my::whence::v2::f()",
        "whence::fixed_string<4ul>", "whence::fixed_string<4ul>{char [4]{(char)97"}) {
    CHECK(symbols::as_written(name) == name);
  }
}
