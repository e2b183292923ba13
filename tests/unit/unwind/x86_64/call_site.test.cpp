// SPDX-License-Identifier: Apache-2.0
//
// The machine code is an assembler's, for the instructions in the comments.
#include <doctest/doctest.h>

#include <cstring>
#include <initializer_list>

#include <whence/unwind/arch.hpp>

using namespace whence::unwind;

namespace {

constexpr std::uintptr_t returns_to = 0x1000;

call_site before(std::initializer_list<int> code) {
  unsigned char bytes[longest_call];
  std::memset(bytes, 0x90, sizeof bytes);  // nop
  unsigned char* at = bytes + sizeof bytes - code.size();
  for (const int b : code) *at++ = static_cast<unsigned char>(b);
  return call_before(bytes, returns_to);
}

}  // namespace

TEST_CASE("a direct call has a target") {
  const call_site site = before({0xe8, 0x10, 0, 0, 0});
  CHECK(site.is_call);
  CHECK(site.target == returns_to + 0x10);
  CHECK(before({0xe8, 0xf0, 0xff, 0xff, 0xff}).target == returns_to - 0x10);
}

TEST_CASE("an indirect call is recognized in every form, and has no target") {
  const std::initializer_list<int> calls[] = {
      {0xff, 0xd0},                                // call *%rax
      {0x41, 0xff, 0xd4},                          // call *%r12
      {0xff, 0x10},                                // call *(%rax)
      {0xff, 0x50, 0x08},                          // call *8(%rax)
      {0xff, 0x90, 0, 1, 0, 0},                    // call *256(%rax)
      {0xff, 0x14, 0xc7},                          // call *(%rdi,%rax,8)
      {0xff, 0x54, 0x24, 0x08},                    // call *8(%rsp)
      {0xff, 0x94, 0x24, 0, 1, 0, 0},              // call *256(%rsp)
      {0xff, 0x15, 0, 1, 0, 0},                    // call *256(%rip)
      {0xff, 0x14, 0x25, 0xc0, 0xff, 0xff, 0xff},  // call *%fs:-64, after its prefix
      {0xff, 0x14, 0xc5, 0, 1, 0, 0},              // call *256(,%rax,8)
  };
  for (const auto& code : calls) {
    CHECK(before(code).is_call);
    CHECK(before(code).target == 0);
  }
}

TEST_CASE("other instructions are not calls") {
  CHECK_FALSE(before({}).is_call);
  CHECK_FALSE(before({0xff, 0xe0}).is_call);                    // jmp *%rax
  CHECK_FALSE(before({0xff, 0x30}).is_call);                    // push (%rax)
  CHECK_FALSE(before({0xff, 0x14, 0x24, 0, 1, 0, 0}).is_call);  // call *(%rsp), and four bytes
  CHECK_FALSE(before({0x48, 0x8b, 0x05, 0, 1, 0, 0}).is_call);  // mov 256(%rip),%rax
}
