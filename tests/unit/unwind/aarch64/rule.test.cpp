// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#if defined(__aarch64__)

#include <signal.h>
#include <ucontext.h>

#include <array>
#include <cstdint>
#include <cstring>
#include <limits>

#include "../ten_words.hpp"
#include <whence/unwind/aarch64/call_site.hpp>
#include <whence/unwind/aarch64/rule.hpp>

using namespace whence;
using unwind::registers;
using unwind::rule;
using unwind::rule_kind;

namespace {

using ten_words = whence_tests::ten_words<1008>;

bool same(const registers& a, const registers& b) {
  return a.pc == b.pc && a.sp == b.sp && a.fp == b.fp && a.lr == b.lr;
}

registers after(rule q, registers r, ten_words stack = {}) {
  REQUIRE(whence_tests::climbs(q, r, stack));
  return r;
}

bool refused(rule q, registers r, ten_words stack = {}) {
  const registers before = r;
  const bool climbed = whence_tests::climbs(q, r, stack);
  return !climbed && same(r, before);
}

}  // namespace

TEST_CASE("frame: CFA = sp + 16n, RA = *(CFA - 8m), fp unchanged or *(CFA - 8m - 8)") {
  CHECK(same(after(rule::frame(false, 16, 16, false), {1, 1008, 5, 0}), {8008, 1024, 5, 0}));
  CHECK(same(after(rule::frame(false, 16, 8, true), {1, 1008, 5, 0}), {8016, 1024, 8008, 0}));
  CHECK(same(after(rule::frame(false, 64, 40, true), {1, 1008, 5, 0}), {8032, 1072, 8024, 0}));
}

TEST_CASE("frame: CFA = fp + 16n") {
  CHECK(same(after(rule::frame(true, 32, 24, true), {1, 1008, 1040, 0}), {8048, 1072, 8040, 0}));
}

TEST_CASE("frame: CFA = sp + 16n, RA = lr, which is true of a leaf alone") {
  CHECK(same(after(unwind::leaf_rule, {1, 1008, 5, 77}), {77, 1008, 5, 0}));
  CHECK(same(after(rule::leaf(48), {1, 1008, 5, 77}), {77, 1056, 5, 0}));
  CHECK(same(after(rule::leaf(80), {1, 1008, 5, 77}), {77, 1088, 5, 0}));
  CHECK(refused(rule::leaf(48), {1, 1008, 5, 0}));
  CHECK(refused(rule::leaf(96), {1, 1008, 5, 77}));
  CHECK(refused(rule::leaf(16), {1, ~std::uintptr_t{15}, 5, 77}));
}

TEST_CASE("only a step over a signal keeps lr") {
  CHECK(after(rule::frame(false, 16, 8, true), {1, 1008, 5, 77}).lr == 0);
  CHECK(after(rule::of(rule_kind::linked), {1, 1008, 1024, 77}).lr == 0);
}

TEST_CASE("linked: CFA >= fp + 16, RA = *(fp + 8), fp = *(fp)") {
  CHECK(same(after(rule::of(rule_kind::linked), {1, 1008, 1040, 0}), {8048, 1056, 8040, 0}));
  CHECK(refused(rule::of(rule_kind::linked), {1, 1008, 1044, 0}));
  CHECK(refused(rule::of(rule_kind::linked), {1, 1040, 1024, 0}));
  CHECK(refused(rule::of(rule_kind::linked), {1, 1008, 1080, 0}));
}

TEST_CASE("after a linked step, a frame's own record tells its sp") {
  const auto corrected = [](rule q, registers r) {
    unwind::correct_sp(q, r);
    return r.sp;
  };
  // The record is at sp + 16: CFA = sp + 64, RA = *(CFA - 40).
  const rule q = rule::frame(false, 64, 40, true);
  CHECK(corrected(q, {1, 1008, 1072, 0}) == 1056);
  CHECK(corrected(q, {1, 1056, 1072, 0}) == 1056);
  // The correction never goes down, and needs a record.
  CHECK(corrected(q, {1, 1064, 1072, 0}) == 1064);
  CHECK(corrected(rule::frame(false, 64, 40, false), {1, 1008, 1072, 0}) == 1008);
  CHECK(corrected(rule::frame(true, 64, 40, true), {1, 1008, 1072, 0}) == 1008);
  CHECK(corrected(rule::leaf(16), {1, 1008, 1072, 0}) == 1008);
  CHECK(corrected(rule::of(rule_kind::linked), {1, 1008, 1072, 0}) == 1008);
}

TEST_CASE("signal_frame: everything from the ucontext_t behind the siginfo_t at sp") {
  struct {
    siginfo_t info;
    ucontext_t context;
  } frame;
  static_assert(sizeof frame.info == 128);
  std::memset(&frame, 0, sizeof frame);
  for (unsigned i = 0; i < 31; ++i) frame.context.uc_mcontext.regs[i] = 500 + i;
  frame.context.uc_mcontext.sp = 4096;
  frame.context.uc_mcontext.pc = 4097;
  struct {
    std::uintptr_t moved_to = 0;
    static std::uintptr_t end() { return std::numeric_limits<std::uintptr_t>::max(); }
    static bool reach(std::uintptr_t) { return false; }
    static std::uintptr_t load(std::uintptr_t address) {
      std::uintptr_t word;
      std::memcpy(&word, reinterpret_cast<const void*>(address), sizeof word);
      return word;
    }
    void move_to(std::uintptr_t sp) { moved_to = sp; }
  } stack;
  const auto sp = reinterpret_cast<std::uintptr_t>(&frame);
  registers r{1, sp, 5, 0};
  REQUIRE(climb_rare(rule::of(rule_kind::signal_frame), r, stack));
  CHECK(same(r, {4097, 4096, 529, 530}));
  CHECK(stack.moved_to == 4096);

  unwind::all_registers all{};
  REQUIRE(interrupted({1, sp, 5, 0}, stack, all));
  unwind::all_registers wanted{};
  unwind::interrupted(frame.context, wanted);
  for (int i = 0; i < unwind::all_registers::count; ++i) CHECK(all.value[i] == wanted.value[i]);
}

TEST_CASE("a signal frame that is not all on the stack is refused") {
  CHECK(refused(rule::of(rule_kind::signal_frame), {1, 1008, 5, 0}));
}

TEST_CASE("no rule reads outside of the stack, for any registers") {
  const rule rules[] = {rule::frame(false, 16, 8, false),
                        rule::frame(false, 16, 16, false),
                        rule::frame(false, 96, 88, true),
                        rule::frame(true, 16, 8, true),
                        rule::frame(true, 80, 8, false),
                        rule::frame(true, 80, 72, true),
                        rule::leaf(0),
                        rule::leaf(80),
                        rule::of(rule_kind::linked),
                        rule::of(rule_kind::signal_frame)};
  const std::uintptr_t words[] = {0,
                                  1,
                                  8,
                                  992,
                                  1008,
                                  1072,
                                  1073,
                                  1080,
                                  1088,
                                  4096,
                                  ~std::uintptr_t{0},
                                  ~std::uintptr_t{7},
                                  ~std::uintptr_t{15},
                                  std::uintptr_t{1} << 63};
  int climbed = 0;
  for (const rule q : rules) {
    for (const std::uintptr_t fp : words) {
      for (const std::uintptr_t word : words) {
        ten_words stack;
        stack.words.fill(word);
        registers r{1, 1008, fp, word};
        if (whence_tests::climbs(q, r, stack)) {
          ++climbed;
          CHECK(r.sp >= 1008);
          CHECK(r.sp <= 1088);
          // If sp does not rise, lr was used up: no walk is endless.
          CHECK((r.sp > 1008 || (word != 0 && r.lr == 0)));
        }
      }
    }
  }
  CHECK(climbed > 0);
}

TEST_CASE("the last frame of the stack may end where it ends") {
  CHECK(same(after(rule::frame(false, 80, 8, false), {1, 1008, 5, 0}), {8080, 1088, 5, 0}));
  CHECK(refused(rule::frame(false, 96, 8, false), {1, 1008, 5, 0}));
  CHECK(refused(rule::frame(true, 16, 8, true), {1, 1024, 1008, 0}));
}

TEST_CASE("a signed return address is taken without its signature") {
  std::uintptr_t address = reinterpret_cast<std::uintptr_t>(&same);
  CHECK(unwind::plain_code_address(address) == address);
  std::uintptr_t with_signature = address;
  // PACIA1716; a NOP on machines without authentication.
  asm("mov x17, %0\n\t"
      "mov x16, 1234\n\t"
      "hint 8\n\t"
      "mov %0, x17"
      : "+r"(with_signature)
      :
      : "x16", "x17");
  CHECK(unwind::plain_code_address(with_signature) == address);
  ten_words stack;
  stack.at(1016) = with_signature;
  CHECK(after(rule::frame(false, 16, 8, true), {1, 1008, 5, 0}, stack).pc == address);
  stack.at(1048) = with_signature;
  CHECK(after(rule::of(rule_kind::linked), {1, 1008, 1040, 0}, stack).pc == address);
  CHECK(after(unwind::leaf_rule, {1, 1008, 5, with_signature}).pc == address);
}

TEST_CASE("frames that do not fit a rule are left to dwarf_walk") {
  CHECK(rule::frame(false, 24, 8, false).kind() == rule_kind::exact);
  CHECK(rule::frame(false, 0, 8, false).kind() == rule_kind::exact);
  CHECK(rule::frame(false, -16, 8, false).kind() == rule_kind::exact);
  CHECK(rule::frame(false, std::int64_t{16} << 14, 8, false).kind() == rule_kind::exact);
  CHECK(rule::frame(false, 32, 0, false).kind() == rule_kind::exact);
  CHECK(rule::frame(false, 32, -8, false).kind() == rule_kind::exact);
  CHECK(rule::frame(false, 32, 12, false).kind() == rule_kind::exact);
  CHECK(rule::frame(false, 32, 32, true).kind() == rule_kind::exact);  // fp below sp
  CHECK(rule::leaf(8).kind() == rule_kind::exact);
  CHECK(rule::leaf(std::int64_t{16} << 14).kind() == rule_kind::exact);
}

TEST_CASE("a rule keeps its kind and its numbers") {
  for (const rule_kind kind : {rule_kind::signal_frame, rule_kind::linked, rule_kind::outermost,
                               rule_kind::exact, rule_kind::elsewhere}) {
    const rule r = rule::of(kind);
    CHECK(r);
    CHECK_FALSE(r.is_frame());
    CHECK(r.kind() == kind);
  }
  CHECK_FALSE(rule{});
  CHECK(rule{}.kind() == rule_kind::none);
  for (const bool from_fp : {false, true}) {
    for (const bool saves : {false, true}) {
      for (const std::int64_t n : {std::int64_t{16}, std::int64_t{4096}, std::int64_t{16} << 13}) {
        const rule r = rule::frame(from_fp, n, n - 8, saves);
        CHECK(r.kind() == rule_kind::frame);
        CHECK(r.from_fp() == from_fp);
        CHECK(saves_fp(r) == saves);
        CHECK_FALSE(r.ra_is_in_lr());
        CHECK(r.cfa_offset() == static_cast<std::uintptr_t>(n));
        CHECK(r.ra_below() == static_cast<std::uintptr_t>(n - 8));
        CHECK(r.lowest() == static_cast<std::uintptr_t>(saves ? n : n - 8));
      }
    }
  }
  const std::int64_t largest = (std::int64_t{16} << 14) - 16;
  CHECK(rule::leaf(largest).ra_is_in_lr());
  CHECK(rule::leaf(largest).cfa_offset() == static_cast<std::uintptr_t>(largest));
  CHECK_FALSE(rule::frame(false, largest, largest, false).ra_is_in_lr());
  CHECK_FALSE(rule::frame(false, largest, largest - 8, true).ra_is_in_lr());
}

TEST_CASE("a return address and the instruction there have different keys") {
  const std::uintptr_t address = 0xffff'8888'7774;
  CHECK(unwind::rule_key(address) !=
        unwind::rule_key(unwind::pc::instruction(address).as_return_address()));
  CHECK(unwind::rule_key(address) ==
        unwind::rule_key(unwind::pc::instruction(address - 4).as_return_address()));
  CHECK((unwind::rule_key((std::uintptr_t{1} << 48) - 4) >> 47) == 0);
}

TEST_CASE("a return address follows BL, BLR or their authenticating forms, and nothing else") {
  const auto before = [](std::uint32_t instruction, std::uintptr_t ra) {
    unsigned char code[unwind::longest_call];
    std::memcpy(code, &instruction, sizeof code);
    return unwind::call_before(code, ra);
  };
  // The assembler's code for each instruction.
  CHECK(before(0x9400a35a, 0x4028b0).target == 0x42b614);  // bl 42b614
  CHECK(before(0x97fffc8c, 0x4028b4).target == 0x401ae0);  // bl 401ae0
  for (const std::uint32_t indirect : {
           0xd63f0020U,  // blr x1
           0xd63f03c0U,  // blr x30
           0xd63f083fU,  // blraaz x1
           0xd63f0c3fU,  // blrabz x1
           0xd73f0822U,  // blraa x1, x2
           0xd73f0c3fU,  // blrab x1, sp
       }) {
    CHECK(before(indirect, 0x400010).is_call);
    CHECK(before(indirect, 0x400010).target == 0);
  }
  for (const std::uint32_t other : {
           0x17fffd06U,  // b
           0xd61f0220U,  // br x17
           0xd65f03c0U,  // ret
           0xd65f0bffU,  // retaa
           0xd71f0822U,  // braa x1, x2
           0xd503201fU,  // nop
           0U,
       }) {
    CHECK_FALSE(before(other, 0x400010).is_call);
  }
  CHECK_FALSE(before(0x94000000, 0x400011).is_call);
}

TEST_CASE("a stub of the procedure linkage table names the slot it jumps through") {
  const auto slot = [](std::array<std::uint32_t, 4> code, std::uintptr_t address) {
    unsigned char bytes[sizeof code];
    std::memcpy(bytes, code.data(), sizeof bytes);
    return unwind::slot_of_stub(bytes, address);
  };
  // adrp x16, 49f000; ldr x17, [x16, 24]; add x16, x16, 24; br x17
  CHECK(slot({0xf0000490, 0xf9400e11, 0x91006210, 0xd61f0220}, 0x40c390) == 0x49f018);
  // bti c before it; a page lower than the stub
  CHECK(slot({0xd503245f, 0xf0ffffd0, 0xf9400e11, 0xd61f0220}, 0x40c390) == 0x407018);
  CHECK(slot({0xf0000491, 0xf9400e11, 0x91006210, 0xd61f0220}, 0x40c390) == 0);
  CHECK(slot({0xd503201f, 0xd503201f, 0xd503201f, 0xd503201f}, 0x40c390) == 0);
}

#endif  // defined(__aarch64__)
