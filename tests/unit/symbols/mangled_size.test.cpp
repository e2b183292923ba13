// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>
#include <pthread.h>

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "support/sanitizers.hpp"
#include <whence/symbols/demangle.hpp>
#include <whence/symbols/function_name.hpp>
#include <whence/symbols/mangled_size.hpp>

using namespace whence;
using symbols::demangle;
using symbols::mangled_size;

namespace {

std::string reference(char kind, int number) {
  constexpr std::string_view digits = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ";
  std::string text(1, kind);
  if (number > 36) text += digits[static_cast<std::size_t>((number - 1) / 36)];
  if (number > 0) text += digits[static_cast<std::size_t>((number - 1) % 36)];
  return text + "_";
}

// The parameters (A<int, int>, A<the first, the first>, A<the second, the second>, ...) of a name
// that has `parts` to which references can be made.
std::string doubled(int times, int parts = 0) {
  std::string text = "1AIiiE";
  for (int i = 1; i <= times; ++i) {
    const std::string last = reference('S', parts + i);
    text.append(reference('S', parts)).append("I").append(last).append(last).append("E");
  }
  return text;
}

// Each type is a pack of the one before: f<A, A, A>(A<A...>...)
std::string repeated(int times) {
  std::string name = "_Z1fIJ1AS0_S0_S0_S0_S0_S0_S0_EEvDpT_";
  for (int i = 0; i < times; ++i) name += "DpDpDpT_";
  return name;
}

bool is_measured_right(std::string_view name) {
  const std::size_t length = demangle(name).size();
  return demangle(name) != name && mangled_size(name).is_at_most(40 * length + 1000) &&
         !mangled_size(name).is_at_most(length - 1);
}

}  // namespace

TEST_CASE("a name that stands for a text of megabytes stays mangled") {
  // 18 MB each, if they were demangled.
  for (const std::string& name :
       {"_Z1f" + doubled(19), "_ZN1a1bE" + doubled(19, 1), "_ZZ1fvEN1C1gE" + doubled(19, 1),
        "_Z1fI" + doubled(19, 1) + "Evv"}) {
    CAPTURE(name);
    CHECK(name.size() < 250);
    CHECK((demangle(name) == name));  // without the text
    CHECK(symbols::name_of(name, name_style::brief) == name);
  }
  CHECK(!mangled_size("_Z1f" + doubled(300)).is_at_most(std::uint64_t{1} << 40));
  CHECK(demangle("_Z1f" + doubled(3)).size() > 200);
  CHECK(!mangled_size(repeated(40)).is_at_most(1 << 20));
}

TEST_CASE("references to template arguments count as long as those are") {
  // f<A<...>>(T_, T_, ...)
  std::string name = "_Z1fI" + doubled(7, 1) + "Ev";
  CHECK(demangle(name + "v").size() > 4000);
  for (int i = 0; i < 300; ++i) name += "T_";
  CHECK(!mangled_size(name).is_at_most(1 << 20));
  CHECK((demangle(name) == name));
}

TEST_CASE("ordinary names are measured, of every kind") {
  for (const char* name : {"_Z1fv",
                           "_ZN4shop6pricesIiEEvT_",
                           "_ZNSt6vectorISsSaISsEE9push_backERKSs",
                           "_ZNKSt8functionIFviEEclEi",
                           "_ZN1AC2ERKS_",
                           "_ZN1AD0Ev",
                           "_ZN1AcvT_IiEEv",
                           "_ZNK1AcvbEv",
                           "_ZN12_GLOBAL__N_11fEv",
                           "_ZZN4shop5priceEvENKUliE0_clEi",
                           "_ZZ1fvEs_0",
                           "_ZThn8_N1A1fEv",
                           "_ZTv0_n24_N1A1fEv",
                           "_ZTWN1A1xE",
                           "_ZGVZ1fvE1x",
                           "_Z1fIJicdEEvDpT_",
                           "_Z1fIiEDTplfp_fp_ET_",
                           "_Z1fI1AEDTcldtfp_1gEET_",
                           "_Z1fILi97ELb1ELc97EEvv",
                           "_Z1fIXadL_Z1gvEEEvv",
                           "_Z1fIiENSt9enable_ifIXsr3std11is_integralIT_EE5valueEvE4typeES1_",
                           "_Z1fM1AFivES0_",
                           "_Z1fRA10_KiPDoFvvE",
                           "_ZlsRSo1A",
                           "_Zli3_kmv",
                           "_ZN1AB5cxx111fB5cxx11Ev",
                           "_Z1fDn",
                           "_Z1fDv4_f"}) {
    CAPTURE(name);
    CHECK(is_measured_right(name));
  }
}

TEST_CASE("a damaged name is refused, in any place") {
  const std::string whole =
      "_ZN4llvm2cl3optIbLb0ENS0_6parserIbEEE5parseERNS0_6OptionENS_9StringRefES7_";
  CHECK(mangled_size(whole).is_at_most(1 << 20));
  for (std::size_t size = 2; size < whole.size(); ++size) {
    const std::string part = whole.substr(0, size);
    CAPTURE(part);
    if (mangled_size(part).is_at_most(1 << 20)) CHECK(demangle(part) != whole);
  }
  for (const std::string name : {"_Z", "_Z1fS_", "_Z1fT", "_Z99999999999999999999f", "_ZN",
                                 "_Z1fS9999999999_", "_Z1fX", "_Z1fDO", "_Z1fIXcl"}) {
    CAPTURE(name);
    CHECK(!mangled_size(name).is_at_most(1 << 20));
  }
}

// A thread of the program's writes the profile, and its stack may be small.
TEST_CASE("however deep a name nests, the check of it needs little stack") {
  const auto measure = [](void* name) -> void* {
    return mangled_size(*static_cast<const std::string*>(name)).is_at_most(1 << 20) ? name
                                                                                    : nullptr;
  };
  for (const char* deep : {"P", "1AI", "N", "Z", "F", "A_", "1fIX", "1fIJ", "DTcl", "L"}) {
    for (const char* begin : {"_Z", "_Z1f", "_ZN"}) {
      std::string name = begin;
      for (int i = 0; i < 100'000; ++i) name += deep;
      pthread_attr_t attributes;
      REQUIRE(::pthread_attr_init(&attributes) == 0);
      // Frames are several times as large under AddressSanitizer without optimization.
      REQUIRE(::pthread_attr_setstacksize(&attributes, (sanitized ? 2048 : 256) << 10) == 0);
      ::pthread_t thread{};
      REQUIRE(::pthread_create(&thread, &attributes, measure, &name) == 0);
      void* good = &name;
      ::pthread_join(thread, &good);
      ::pthread_attr_destroy(&attributes);
      CAPTURE(deep);
      CHECK(good == nullptr);
    }
  }
}
