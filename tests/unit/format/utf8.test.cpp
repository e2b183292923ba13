// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include <string>

#include <whence/format/utf8.hpp>

using namespace whence::format;

TEST_CASE("characters of one to four bytes are UTF-8, at the ends of every range") {
  for (const char* good :
       {"", "a", "\x7f", "\xc2\x80", "\xdf\xbf", "\xe0\xa0\x80", "\xed\x9f\xbf", "\xee\x80\x80",
        "\xef\xbf\xbf", "\xf0\x90\x80\x80", "\xf4\x8f\xbf\xbf"}) {
    CHECK(is_utf8(good));
    CHECK(to_utf8(good) == good);
  }
}

TEST_CASE("overlong forms, surrogates, stray and missing bytes are not") {
  for (const char* bad :
       {"\x80", "\xc0\x80", "\xc1\xbf", "\xc2", "\xe0\x9f\xbf", "\xed\xa0\x80", "\xe2\x82",
        "\xf0\x8f\xbf\xbf", "\xf4\x90\x80\x80", "\xf5\x80\x80\x80", "\xff", "\xc2\x41"}) {
    CHECK_FALSE(is_utf8(bad));
    CHECK(is_utf8(to_utf8(bad)));
  }
  CHECK(to_utf8("a\xff\xc3\xa4\xe2\x82") == "a\xef\xbf\xbd\xc3\xa4\xef\xbf\xbd\xef\xbf\xbd");
}

TEST_CASE("characters are counted, and a byte that is part of none counts as one") {
  CHECK(utf8_count("") == 0);
  CHECK(utf8_count("a\xc3\xa4\xe2\x82\xac") == 3);
  CHECK(utf8_count("\xff\xfe") == 2);
}
