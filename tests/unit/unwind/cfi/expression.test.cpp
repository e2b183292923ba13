// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include <cstddef>
#include <cstdint>
#include <vector>

#include <whence/unwind/cfi/expression.hpp>

using namespace whence;

namespace {

// Register n holds 100 n; the word at a holds a + 1.
struct numbers {
  using value = std::uint64_t;
  static value constant(std::uint64_t n) { return n; }
  static bool reg(std::uint64_t number, std::int64_t offset, value& v) {
    v = 100 * number + static_cast<std::uint64_t>(offset);
    return number < 17;
  }
  static bool load(value& v, std::uint64_t bytes) {
    v = bytes == 8 ? v + 1 : 0;
    return true;
  }
  static bool apply(std::uint8_t which, value& a, value b) { return unwind::compute(which, a, b); }
};

bool evaluate(const std::vector<int>& code, std::uint64_t& result) {
  std::vector<std::byte> bytes;
  for (const int c : code) bytes.push_back(static_cast<std::byte>(c));
  numbers machine;
  return unwind::expression(machine).evaluate({bytes.data(), bytes.size(), 0}, result);
}

std::uint64_t value_of(const std::vector<int>& code) {
  std::uint64_t result = 0;
  REQUIRE(evaluate(code, result));
  return result;
}

bool fails(const std::vector<int>& code) {
  std::uint64_t result = 0;
  return !evaluate(code, result);
}

}  // namespace

TEST_CASE("the expressions that occur in call-frame information") {
  // breg7 8; breg16 0; lit15; and; lit11; ge; lit3; shl; plus: a PLT stub. 1600 & 15 = 0 < 11.
  CHECK(value_of({0x77, 8, 0x80, 0, 0x3f, 0x1a, 0x3b, 0x2a, 0x33, 0x24, 0x22}) == 708);
  // breg6 -8; deref: a realigned stack.
  CHECK(value_of({0x76, 0x78, 0x06}) == 593);
  // breg7 160; deref: a signal frame.
  CHECK(value_of({0x77, 0xa0, 0x01, 0x06}) == 861);
}

TEST_CASE("operators compute as DWARF 5 section 2.5.1.4 says, comparisons signed") {
  CHECK(value_of({0x3a, 0x33, 0x1c}) == 7);        // 10 - 3
  CHECK(value_of({0x3a, 0x33, 0x1e}) == 30);       // 10 * 3
  CHECK(value_of({0x3a, 0x23, 0x05}) == 15);       // plus_uconst
  CHECK(value_of({0x09, 0xff, 0x31, 0x2d}) == 1);  // -1 < 1
  CHECK(value_of({0x3a, 0x33, 0x16, 0x1c}) == std::uint64_t{0} - 7);
  CHECK(value_of({0x3a, 0x33, 0x14, 0x22, 0x22}) == 23);  // over
  CHECK(value_of({0x31, 0x08, 64, 0x24}) == 0);           // a shift by all bits
}

TEST_CASE("damaged or unknown expressions have no value") {
  CHECK(fails({}));
  CHECK(fails({0x22}));                      // nothing to add
  CHECK(fails({0x13}));                      // nothing to drop
  CHECK(fails({0x77}));                      // a missing offset
  CHECK(fails({0x92, 0x7f, 0}));             // a register that does not exist
  CHECK(fails({0x2f, 0xfd, 0xff}));          // skip -3: jumps are not followed
  CHECK(fails({0x31, 0x31, 0xe0}));          // not an operator
  CHECK(fails(std::vector<int>(40, 0x31)));  // deeper than any stack
}
