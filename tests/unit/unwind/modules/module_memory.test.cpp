// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>
#include <sys/mman.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "../own_unwinder.hpp"
#include <whence/unwind/capture.hpp>
#include <whence/unwind/modules/module_memory.hpp>

using namespace whence;
using unwind::view_slot;
using whence_tests::own_unwinder;

TEST_CASE("memory is read in place until an address is guessed, after which it may be unmapped") {
  void* const page =
      ::mmap(nullptr, sys::page_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  REQUIRE(page != MAP_FAILED);
  std::memcpy(page, "0123456", 8);
  const auto at = reinterpret_cast<std::uintptr_t>(page);
  unwind::trusted_memory memory;
  CHECK(unwind::is_trusted(memory));
  CHECK(memory.view(at, 8, view_slot::number) == page);
  unwind::distrust(memory);
  CHECK_FALSE(unwind::is_trusted(memory));
  const std::byte* const copy = memory.view(at, 8, view_slot::number);
  REQUIRE(copy != nullptr);
  CHECK(copy != page);
  CHECK(std::memcmp(copy, "0123456", 8) == 0);
  REQUIRE(::munmap(page, sys::page_bytes) == 0);
  CHECK(memory.view(at, 8, view_slot::number) == nullptr);
}

#ifdef __x86_64__
// A frame without call-frame information, which the walk leaves by the frame pointer.
extern "C" void whence_tests_without_cfi(void (*f)(void*), void* argument);
asm(".text\n"
    ".globl whence_tests_without_cfi\n"
    ".type whence_tests_without_cfi,@function\n"
    "whence_tests_without_cfi:\n"
    "  push %rbp\n"
    "  mov %rsp, %rbp\n"
    "  mov %rdi, %rax\n"
    "  mov %rsi, %rdi\n"
    "  call *%rax\n"
    "  pop %rbp\n"
    "  ret\n"
    ".size whence_tests_without_cfi,.-whence_tests_without_cfi\n");

namespace {

struct taken {
  std::array<std::uintptr_t, 32> pcs{};
  unwind::trace trace{pcs.data(), pcs.size()};
};

[[gnu::noinline]] void take(void* into) {
  auto& t = *static_cast<taken*>(into);
  unwind::capture(own_unwinder(), t.trace, __builtin_return_address(0));
  asm volatile("");
}

}  // namespace

TEST_CASE("a stack tells whether all of it was found by call-frame information") {
  taken direct;
  take(&direct);
  CHECK(direct.trace.depth > 0);
  CHECK_FALSE(direct.trace.is_guessed);
  taken above;
  whence_tests_without_cfi(&take, &above);
  CHECK(above.trace.depth > 1);
  CHECK(above.trace.is_guessed);
}
#endif
