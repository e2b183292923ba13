// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include <cstdint>
#include <string>

#include <whence/sys/digits.hpp>

using namespace whence;

TEST_CASE("hexadecimal digits are lower case, without leading zeros") {
  CHECK(sys::to_hex(0) == "0");
  CHECK(sys::to_hex(0x7fff12ab) == "7fff12ab");
  CHECK(sys::to_hex(~std::uint64_t{0}) == "ffffffffffffffff");
}

TEST_CASE("a number ends before the first character that is not a digit of its base") {
  CHECK(sys::parse("7fff12ab-7", 16) == 0x7fff12ab);
  CHECK(sys::parse("112)", 10) == 112);
  CHECK(sys::parse("12ab", 10) == 12);
  CHECK(sys::parse("", 16) == 0);
  CHECK(sys::parse("-1", 10) == 0);
}
