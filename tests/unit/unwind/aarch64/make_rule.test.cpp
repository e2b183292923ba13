// SPDX-License-Identifier: Apache-2.0
//
// Every row of this program's call-frame information, as readelf prints it, equals the rule of its
// address; entries made by hand cover rows that no available compiler writes.
#include <doctest/doctest.h>

#if defined(__aarch64__)

#include <link.h>
#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <initializer_list>
#include <string>
#include <vector>

#include "../readelf_rows.hpp"
#include <whence/sys/loader.hpp>
#include <whence/unwind/make_rule.hpp>

using namespace whence;
using unwind::rule;
using unwind::rule_kind;

namespace {

bool starts_with(const std::string& text, const char* start) {
  return text.rfind(start, 0) == 0;
}

// The rule a row stands for. readelf prints undefined registers and unmentioned ones alike, so
// there are two.
struct expectation {
  bool known = false;
  rule first, second;
};

expectation expected(const whence_tests::cfi_row& r) {
  const std::size_t plus = r.cfa.find('+');
  const std::string base = r.cfa.substr(0, plus);
  if (plus == std::string::npos || (base != "sp" && base != "x29")) return {};
  const std::int64_t offset = std::atoll(r.cfa.c_str() + plus + 1);
  const bool from_fp = base == "x29";
  const bool saves_fp = starts_with(r.fp, "c-");
  if (starts_with(r.ra, "c-")) {
    const std::int64_t below = std::atoll(r.ra.c_str() + 2);
    if (saves_fp && std::atoll(r.fp.c_str() + 2) != below + 8) return {};
    const rule made = rule::frame(from_fp, offset, below, saves_fp);
    return {true, made, made};
  }
  if (from_fp || saves_fp) return {};
  return {true, rule::leaf(offset), rule::of(rule_kind::outermost)};
}

std::vector<unwind::module> modules_in_memory() {
  std::vector<unwind::module> modules;
  sys::for_each_module([&](const dl_phdr_info& info) {
    modules.push_back(unwind::describe(info));
    return false;
  });
  return modules;
}

// A program of DW_CFA bytes behind a CIE that says CFA = sp + 0, as all compilers' do.
struct by_hand {
  std::vector<unsigned char> bytes;
  unwind::fde f;

  by_hand(std::initializer_list<unsigned char> program) : bytes(program) {
    static constexpr unsigned char start[] = {0x0c, 31, 0};
    f.start = 0x1000;
    f.limit = 0x2000;
    f.common.code_alignment = 4;
    f.common.data_alignment = -8;
    f.common.return_column = 30;
    f.common.program = cursor(start, sizeof start);
    f.program = cursor(bytes.data(), bytes.size());
  }
  static unwind::byte_cursor cursor(const unsigned char* begin, std::size_t size) {
    return {reinterpret_cast<const std::byte*>(begin), size, 0};
  }
  rule made() const {
    unwind::cfa_program<unwind::rule_registers> program(f);
    unwind::cfa_row<unwind::rule_registers> row;
    REQUIRE(program.run(f, 0x1000, row));
    return unwind::rule_maker::make(row, program, f, 0x1000);
  }
};

}  // namespace

TEST_SUITE_BEGIN("heavy");

TEST_CASE("every row of this program is what readelf says") {
  const std::vector<unwind::module> modules = modules_in_memory();
  char path[4096] = {};
  REQUIRE(::readlink("/proc/self/exe", path, sizeof path - 1) > 0);
  // The first module is the program; its addresses are counted from its start.
  const ElfW(Ehdr)& file = *reinterpret_cast<const ElfW(Ehdr)*>(modules[0].start);
  const std::uintptr_t bias = file.e_type == ET_DYN ? modules[0].start : 0;
  unwind::memory_in_place memory;
  int compared = 0;
  int wrong = 0;
  int exact = 0;
  for (const whence_tests::cfi_row& r : whence_tests::rows_by_readelf(path, "x29")) {
    const rule made = make_rule(modules[0], bias + r.address, memory);
    const expectation e = expected(r);
    if (made.kind() == rule_kind::exact) ++exact;
    if (!e.known) continue;
    ++compared;
    if (!(made == e.first) && !(made == e.second)) {
      ++wrong;
      MESSAGE("at " << std::hex << r.address << ": " << r.cfa << " " << r.fp << " " << r.ra);
    }
  }
  CHECK(compared > 1000);
  CHECK(wrong == 0);
  CHECK(exact * 1000 < compared);
}

TEST_SUITE_END();

TEST_CASE("a row without an RA has it in lr; one with an undefined RA is the outermost") {
  CHECK(by_hand({}).made() == unwind::leaf_rule);
  CHECK(by_hand({0x0e, 32}).made() == rule::leaf(32));
  CHECK(by_hand({0x08, 30}).made() == unwind::leaf_rule);                 // same_value x30
  CHECK(by_hand({0x07, 30}).made() == rule::of(rule_kind::outermost));    // undefined x30
  CHECK(by_hand({0x2d, 0x0e, 32}).made() == rule::leaf(32));              // signed from here on
  CHECK(by_hand({0x0e, 32, 0x9d, 4}).made().kind() == rule_kind::exact);  // x29 alone is saved
  CHECK(by_hand({0x0c, 29, 32}).made().kind() == rule_kind::exact);       // CFA = x29 + 32
}

TEST_CASE("frames with the pair x29, x30, with x30 alone, and others") {
  // offset: x29 at CFA-32, x30 at CFA-24
  CHECK(by_hand({0x0e, 32, 0x9d, 4, 0x9e, 3}).made() == rule::frame(false, 32, 24, true));
  CHECK(by_hand({0x0c, 29, 32, 0x9d, 4, 0x9e, 3}).made() == rule::frame(true, 32, 24, true));
  CHECK(by_hand({0x0e, 16, 0x9e, 2}).made() == rule::frame(false, 16, 16, false));
  // Saved apart from each other; x30 in x15; a CFA in x9; one by an expression.
  CHECK(by_hand({0x0e, 32, 0x9d, 4, 0x9e, 2}).made().kind() == rule_kind::exact);
  CHECK(by_hand({0x09, 30, 15}).made().kind() == rule_kind::exact);
  CHECK(by_hand({0x0c, 9, 32, 0x9d, 4, 0x9e, 3}).made().kind() == rule_kind::exact);
  CHECK(by_hand({0x0f, 2, 0x8f, 0, 0x9d, 4, 0x9e, 3}).made().kind() == rule_kind::exact);
}

TEST_CASE("a marked signal frame is one if its code returns from a signal") {
  // nop; mov x8, 139; svc 0; nop
  static constexpr std::uint32_t code[] = {0xd503201f, 0xd2801168, 0xd4000001, 0xd503201f};
  const auto kind_at = [](const std::uint32_t* at, unsigned back) {
    by_hand entry{0x0c, 29, 0, 0x9d, 0};
    entry.f.common.signal_frame = true;
    unwind::cfa_program<unwind::rule_registers> program(entry.f);
    unwind::cfa_row<unwind::rule_registers> row;
    REQUIRE(program.run(entry.f, 0x1000, row));
    return unwind::rule_maker::make(row, program, entry.f,
                                    reinterpret_cast<std::uintptr_t>(at) - back)
        .kind();
  };
  CHECK(kind_at(&code[1], 1) == rule_kind::signal_frame);  // a return address: in the first nop
  CHECK(kind_at(&code[1], 0) == rule_kind::signal_frame);  // an instruction
  CHECK(kind_at(&code[2], 0) == rule_kind::signal_frame);
  CHECK(kind_at(&code[3], 0) == rule_kind::exact);
}

TEST_CASE("an address between functions has no rule, code without an entry is linked") {
  const std::vector<unwind::module> modules = modules_in_memory();
  unwind::memory_in_place memory;
  CHECK_FALSE(make_rule(modules[0], 0, memory));
  unwind::module without_frames = modules[0];
  without_frames.frames = {};
  CHECK(make_rule(without_frames, without_frames.code_start, memory).kind() == rule_kind::linked);
}

#endif  // defined(__aarch64__)
