// SPDX-License-Identifier: Apache-2.0
#include <cxxabi.h>
#include <doctest/doctest.h>

#include <cstdlib>
#include <string>
#include <typeinfo>

#include <whence/symbols/demangle.hpp>
#include <whence/symbols/readable_names.hpp>
#include <whence/tracked.hpp>

using namespace whence;

TEST_CASE("our own names are shown as in source code") {
  using entry = tracked<basic_custom_profile<"app.sessions", true>>;
  const std::string name = symbols::demangle(std::string("_Z1f") + typeid(entry).name());
  CHECK(name.find("(char)97") != std::string::npos);
  CHECK(symbols::without_abi_noise(name) ==
        "f(whence::tracked<whence::basic_custom_profile<\"app.sessions\", true>, true>)");
}

TEST_CASE("other names, and names that only look like ours, are not changed") {
  for (const char* name :
       {"main", "", "std::vector<int>::push_back(int&&)", "my::whence::v2::f()",
        "whence::fixed_string<4ul>", "whence::fixed_string<4ul>{char [4]{(char)97"}) {
    CHECK(symbols::without_abi_noise(name) == name);
  }
}

TEST_CASE("the time for a name with many unfinished texts grows with its length alone") {
  // A search to the end of the name for each of them would take an hour.
  for (const char* begin : {"whence::fixed_string<", "whence::fixed_string<4ul>{char [4]{"}) {
    std::string name;
    for (int i = 0; i < 1'000'000; ++i) name += begin;
    CHECK((symbols::without_abi_noise(name) == name));
    CHECK((symbols::without_abi_noise(name + "}}") != name));
  }
}
