// SPDX-License-Identifier: Apache-2.0
//
// Every row of the call-frame information of this program, of libc and of libstdc++, as readelf
// prints it, equals the rule of its address.
#include <doctest/doctest.h>
#include <link.h>

#include <cstdint>
#include <cstdlib>
#include <string>
#include <vector>

#include "readelf_rows.hpp"
#include <whence/symbols/modules.hpp>
#include <whence/sys/loader.hpp>
#include <whence/unwind/make_rule.hpp>

using namespace whence;
using unwind::rule;
using unwind::rule_kind;

#if defined(__x86_64__)

namespace {

// The rule a row stands for; nullopt if the text tells only its kind.
rule expected(const whence_tests::cfi_row& r) {
  if (r.ra == "u") return rule::of(rule_kind::outermost);
  const std::size_t plus = r.cfa.find('+');
  const std::string base = r.cfa.substr(0, plus);
  if (r.ra != "c-8" || r.cfa == "exp" || (base != "rsp" && base != "rbp")) return {};
  std::int64_t slot = rule::unchanged_fp;
  if (r.fp.starts_with("c-")) slot = std::atoll(r.fp.c_str() + 2) / 8;
  if (r.fp == "exp" || r.fp == "vexp") return {};
  return rule::frame(base == "rbp", std::atoll(r.cfa.c_str() + plus + 1), slot);
}

struct tally {
  int compared = 0, expressions = 0, wrong = 0, exact = 0;
};

tally compare(const symbols::loaded_module& m, const unwind::module& in_memory) {
  tally t;
  unwind::memory_in_place memory;
  for (const whence_tests::cfi_row& r : whence_tests::rows_by_readelf(m.path, "rbp")) {
    const std::uintptr_t address = m.bias + r.address;
    const rule made = make_rule(in_memory, address, memory);
    const rule wanted = expected(r);
    if (made.kind() == rule_kind::exact) ++t.exact;
    if (!wanted) {
      ++t.expressions;
    } else {
      ++t.compared;
      if (!(made == wanted)) {
        ++t.wrong;
        MESSAGE("at " << std::hex << r.address << ": " << r.cfa << " " << r.fp << " " << r.ra);
      }
    }
  }
  return t;
}

}  // namespace

TEST_SUITE_BEGIN("heavy");

TEST_CASE("every row of this program, libc and libstdc++ is what readelf says") {
  std::vector<unwind::module> in_memory;
  sys::for_each_module([&](const dl_phdr_info& info) {
    in_memory.push_back(unwind::describe(info));
    return false;
  });
  const sys::vector<symbols::loaded_module> modules = symbols::loaded_modules();
  REQUIRE(modules.size() == in_memory.size());
  int looked_at = 0;
  for (std::size_t i = 0; i < modules.size(); ++i) {
    const bool wanted = i == 0 || modules[i].path.find("libc.so") != std::string::npos ||
                        modules[i].path.find("libstdc++") != std::string::npos;
    if (!wanted) continue;
    CAPTURE(modules[i].path);
    const tally t = compare(modules[i], in_memory[i]);
    CHECK(t.compared > 1000);
    CHECK(t.wrong == 0);
    // One in some thousand rows fits no rule: realigned prologues, and code that keeps its CFA in
    // rbx.
    CHECK(t.exact * 200 < t.compared);
    ++looked_at;
  }
  CHECK(looked_at >= 2);
}

TEST_SUITE_END();

TEST_CASE("an address between functions has no rule, code without an entry is linked") {
  std::vector<unwind::module> modules;
  sys::for_each_module([&](const dl_phdr_info& info) {
    modules.push_back(unwind::describe(info));
    return false;
  });
  unwind::memory_in_place memory;
  CHECK_FALSE(make_rule(modules[0], modules[0].start, memory));
  CHECK_FALSE(make_rule(modules[0], 0, memory));
  unwind::module without_frames = modules[0];
  without_frames.frames = {};
  CHECK(make_rule(without_frames, without_frames.code_start, memory).kind() == rule_kind::linked);
}

#endif  // defined(__x86_64__)
