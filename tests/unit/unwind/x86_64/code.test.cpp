// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#if defined(__x86_64__)

#include <initializer_list>
#include <vector>

#include <whence/unwind/x86_64/code.hpp>

using namespace whence;

namespace {

using code = std::vector<unsigned char>;

const code prologue = {0x55, 0x48, 0x89, 0xe5};
const code push_rbx = {0x53};
const code push_r12 = {0x41, 0x54};
const code push_rax = {0x50};
const code take_24 = {0x48, 0x83, 0xec, 0x18};
const code take_1000 = {0x48, 0x81, 0xec, 0xe8, 0x03, 0, 0};
const code call = {0xe8, 1, 2, 3, 4};
const code leave = {0xc9, 0xc3};
const code give_24 = {0x48, 0x83, 0xc4, 0x18};
const code take_128 = {0x48, 0x83, 0xc4, 0x80};  // add $-128,%rsp
const code give_128 = {0x48, 0x83, 0xec, 0x80};  // sub $-128,%rsp
const code give_8 = {0x48, 0x83, 0xc4, 0x08};

std::int64_t distance(std::int64_t lowest_saved, std::initializer_list<code> parts) {
  code all;
  for (const code& p : parts) all.insert(all.end(), p.begin(), p.end());
  all.insert(all.end(), 16, 0x90);
  return unwind::fixed_distance(all, lowest_saved);
}

}  // namespace

TEST_CASE("a frame that keeps its size: how far its frame pointer is above its stack pointer") {
  CHECK(distance(-16, {prologue, call, leave}) == 0);
  CHECK(distance(-16, {prologue, take_24, call, leave}) == 32);  // clang rounds the rest up itself
  CHECK(distance(-24, {prologue, push_rbx, take_24, call, leave}) == 32);
  CHECK(distance(-32, {prologue, push_r12, push_rbx, take_1000, call, leave}) == 1024);
  CHECK(distance(-24, {prologue, push_rbx, take_24, call, give_24, leave}) == 32);
  CHECK(distance(-24, {prologue, push_rbx, push_rax, call, give_8, leave}) == 16);
  CHECK(distance(-16, {prologue, take_128, call, leave}) == 128);
  CHECK(distance(-24, {prologue, push_rbx, take_128, call, give_128, leave}) == 144);
  // lea -8(%rbp),%rsp; mov %rbp,%rsp; cmp $1,%rsp
  CHECK(distance(-24, {prologue, push_rbx, take_24, call, {0x48, 0x8d, 0x65, 0xf8}, leave}) == 32);
  CHECK(distance(-24, {prologue, push_rbx, take_24, call, {0x48, 0x89, 0xec}, leave}) == 32);
  CHECK(distance(-24, {prologue, push_rbx, take_24, {0x48, 0x83, 0xfc, 0x01}, call, leave}) == 32);
}

TEST_CASE("a frame that may grow has no answer") {
  CHECK(distance(-16, {take_24, call, leave}) == -1);           // no frame pointer is made
  CHECK(distance(-8, {prologue, take_24, call, leave}) == -1);  // rbp is not in its usual place
  CHECK(distance(-16, {prologue, take_24, take_24, call, leave}) == -1);
  CHECK(distance(-16, {prologue, take_24, call, give_8, leave}) == -1);  // arguments were pushed
  CHECK(distance(-24, {prologue, push_rbx, call, give_8, leave}) == -1);
  CHECK(distance(-16, {prologue, take_128, take_24, call, leave}) == -1);
  const code moves[] = {
      {0x48, 0x29, 0xc4},              // sub %rax,%rsp
      {0x4c, 0x29, 0xcc},              // sub %r9,%rsp
      {0x48, 0x2b, 0x20},              // sub (%rax),%rsp
      {0x48, 0x83, 0xe4, 0xe0},        // and $-32,%rsp
      {0x48, 0x81, 0xe4, 0, 0xff, 0},  // and $...,%rsp
      {0x48, 0x89, 0xc4},              // mov %rax,%rsp
      {0x4c, 0x89, 0xdc},              // mov %r11,%rsp
      {0x48, 0x8b, 0x65, 0xf0},        // mov -16(%rbp),%rsp
      {0x48, 0x8d, 0x24, 0x08},        // lea (%rax,%rcx),%rsp
      {0x48, 0x01, 0xc4},              // add %rax,%rsp
  };
  for (const code& move : moves) {
    CAPTURE(move[1]);
    CAPTURE(move[2]);
    CHECK(distance(-16, {prologue, take_24, move, call, leave}) == -1);
    CHECK(distance(-16, {prologue, take_24, call, leave, move}) == -1);
  }
  // The same operations on other registers do not matter.
  CHECK(distance(-16, {prologue, take_24, {0x49, 0x29, 0xc4}, call, leave}) == 32);  // r12
  CHECK(distance(-16, {prologue, take_24, {0x4c, 0x8b, 0x65, 0xf0}, call, leave}) == 32);
}

#endif  // defined(__x86_64__)
