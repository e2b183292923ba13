// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <vector>

#include <whence/unwind/cfi/byte_cursor.hpp>

using namespace whence;
namespace encoding = unwind::encoding;

namespace {

struct bytes {
  std::vector<std::byte> data;
  bytes(std::initializer_list<int> values) {
    for (const int v : values) data.push_back(static_cast<std::byte>(v));
  }
  unwind::byte_cursor cursor(std::uintptr_t address = 0x1000) const {
    return {data.data(), data.size(), address};
  }
};

}  // namespace

TEST_CASE("LEB128 is read as in DWARF 5, figures 22 and 23") {
  const bytes b{0x02, 0x7f, 0x80, 0x01, 0x81, 0x01, 0xe5, 0x8e, 0x26};
  auto c = b.cursor();
  for (const std::uint64_t expected : {2U, 127U, 128U, 129U, 624485U}) CHECK(c.uleb() == expected);
  CHECK(c.at_end());
  CHECK(c.ok());
  const bytes s{0x02, 0x7e, 0xff, 0x00, 0x81, 0x7f, 0x80, 0x7f, 0xff, 0x7e};
  auto d = s.cursor();
  for (const std::int64_t expected : {2, -2, 127, -127, -128, -129}) CHECK(d.sleb() == expected);
  CHECK(d.ok());
}

TEST_CASE("LEB128 numbers of ten and more bytes lose only their upper bits") {
  const bytes b{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f, 0x05};
  auto c = b.cursor();
  CHECK(c.uleb() == ~std::uint64_t{0});
  CHECK(c.uleb() == 5);
  CHECK(c.ok());
}

TEST_CASE("past the end every number is 0, permanently") {
  const bytes b{0x80, 0x80};
  auto c = b.cursor();
  CHECK(c.uleb() == 0);
  CHECK_FALSE(c.ok());
  CHECK(c.byte() == 0);
  auto d = b.cursor();
  CHECK(d.fixed<std::uint32_t>() == 0);
  CHECK_FALSE(d.ok());
  auto e = b.cursor();
  CHECK(e.take(3).left() == 0);
  CHECK_FALSE(e.ok());
}

TEST_CASE("a pointer is relative to itself, to .eh_frame_hdr or to nothing") {
  const bytes b{0xf0, 0xff, 0xff, 0xff};
  CHECK(b.cursor(0x2000).pointer(encoding::to_self | encoding::signed_4) == 0x1ff0);
  CHECK(b.cursor().pointer(encoding::to_data | encoding::signed_4, 0x5000) == 0x4ff0);
  CHECK(b.cursor().pointer(encoding::unsigned_4) == 0xfffffff0);
  CHECK(b.cursor().pointer(encoding::signed_2) == ~std::uintptr_t{15});
  CHECK(b.cursor().pointer(encoding::unsigned_2) == 0xfff0);
  auto none = b.cursor();
  CHECK(none.pointer(encoding::omitted) == 0);
  CHECK(none.left() == 4);
}

TEST_CASE("an encoding that does not exist is not ok") {
  const bytes b{1, 2, 3, 4, 5, 6, 7, 8};
  auto format = b.cursor();
  format.pointer(0x05);
  CHECK_FALSE(format.ok());
  auto relation = b.cursor();
  relation.pointer(encoding::unsigned_4 | 0x40);
  CHECK_FALSE(relation.ok());
}
