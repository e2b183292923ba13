// SPDX-License-Identifier: Apache-2.0
//
// The oracle is protoc, which knows nothing of this encoder.
#include <doctest/doctest.h>

#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include "tools.hpp"
#include <whence/format/protobuf.hpp>

using whence::format::protobuf;

namespace {

std::string text_of(const protobuf& p) {
  return {reinterpret_cast<const char*>(p.bytes().data()), p.bytes().size()};
}

std::string decode_raw(const protobuf& p) {
  const whence_tests::temp_dir here;
  tools::save(here / "message", text_of(p));
  return tools::output_of("protoc --decode_raw < " + (here / "message").string());
}

}  // namespace

TEST_CASE("numbers of every length are varints") {
  protobuf p;
  std::string expected;
  for (int bits = 0; bits < 64; ++bits) {
    const std::uint64_t value = std::uint64_t{1} << bits;
    p.uint64(bits + 1, value);
    p.uint64(bits + 100, value - 1);
    expected += std::to_string(bits + 1) + ": " + std::to_string(value) + "\n";
    if (value != 1) {
      expected += std::to_string(bits + 100) + ": " + std::to_string(value - 1) + "\n";
    }
  }
  CHECK(decode_raw(p) == expected);
}

TEST_CASE("a negative number is written as its two's complement, zero and false not at all") {
  protobuf p;
  p.int64(1, -1);
  p.int64(2, std::numeric_limits<std::int64_t>::min());
  p.int64(3, 0);
  p.boolean(4, false);
  p.boolean(5, true);
  CHECK(decode_raw(p) == "1: 18446744073709551615\n2: 9223372036854775808\n5: 1\n");
}

TEST_CASE("strings are written even if empty, at every length of their length") {
  for (const std::size_t size : {0U, 1U, 127U, 128U, 16383U, 16384U, 100'000U}) {
    protobuf p;
    p.string(6, std::string(size, 'g'));
    p.uint64(7, 1);
    CHECK(decode_raw(p) == "6: \"" + std::string(size, 'g') + "\"\n7: 1\n");
  }
}

TEST_CASE("the length of a message is put in front of it, at every length") {
  for (const std::size_t size : {0U, 1U, 100U, 124U, 125U, 126U, 127U, 16'370U, 16'384U, 70'000U}) {
    protobuf p;
    p.message(1, [&] {
      p.message(2, [&] { p.string(3, std::string(size, 'g')); });
      p.uint64(4, 5);
    });
    p.uint64(9, 6);
    const std::string inner = "    3: \"" + std::string(size, 'g') + "\"\n";
    CHECK(decode_raw(p) == "1 {\n  2 {\n" + inner + "  }\n  4: 5\n}\n9: 6\n");
  }
}

TEST_CASE("repeated numbers are packed, zeros among them; an empty list writes no field") {
  protobuf p;
  p.packed(1, std::vector<std::int64_t>{0, 300, 0});
  CHECK(text_of(p) == std::string("\x0a\x04\x00\xac\x02\x00", 6));
  p.clear();
  p.packed(1, std::vector<std::uint32_t>{});
  CHECK(p.bytes().empty());
  p.packed(2, std::vector<std::uint64_t>(200, 1));
  CHECK(text_of(p) == "\x12\xc8\x01" + std::string(200, '\x01'));
}
