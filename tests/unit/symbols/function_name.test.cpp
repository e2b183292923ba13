// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include <string>
#include <string_view>

#include <whence/symbols/function_name.hpp>

using namespace whence;

namespace {

// A profile's names for a function that is known by that name.
struct names {
  explicit names(std::string_view known_as)
      : system(symbols::system_name_of(known_as)),
        brief(symbols::name_of(system, name_style::brief)),
        templates(symbols::name_of(system, name_style::templates)),
        full(symbols::name_of(system, name_style::full)),
        mangled(symbols::name_of(system, name_style::mangled)) {}

  std::string system, brief, templates, full, mangled;
};

}  // namespace

TEST_CASE("a linker's name stays the system name, and the others are made from it") {
  const names n("_ZN4shop6pricesIiEEvT_.cold");
  CHECK(n.system == "_ZN4shop6pricesIiEEvT_.cold");
  CHECK(n.brief == "shop::prices");
  CHECK(n.templates == "shop::prices<int>");
  CHECK(n.full == "void shop::prices<int>(int)");
  CHECK(n.mangled == n.system);
}

TEST_CASE("a C function has one name; its clones' mark is only in the system name") {
  const names n("main");
  for (const std::string& name : {n.system, n.brief, n.templates, n.full, n.mangled}) {
    CHECK(name == "main");
  }
  const names clone("work.part.0");
  CHECK(clone.system == "work.part.0");
  CHECK(clone.brief == "work");
  CHECK(clone.full == "work");
}

TEST_CASE("a name from debug information alone differs from the short one by a blank") {
  const names n("_M_invoke<0>");
  CHECK(n.system == "_M_invoke<0> ");
  CHECK(n.brief == "_M_invoke");
  CHECK(n.templates == "_M_invoke<0>");
  CHECK(n.full == "_M_invoke<0>");
  CHECK(names("operator()").system == "operator() ");
  CHECK(names("operator()").brief == "operator()");
  CHECK(names("push").system == "push");
}

TEST_CASE("a place without a name is the same in every style") {
  for (const char* place : {"[app+0x47c1]", "[unknown]", "[lib(1)::x.so+0x1]"}) {
    const names n(place);
    for (const std::string& name : {n.system, n.brief, n.templates, n.full, n.mangled}) {
      CHECK(name == place);
    }
  }
}

TEST_CASE("our inline namespace and texts in template arguments look as in source code") {
  const char* const text = "_ZN6whence2v112fixed_stringILm4EE1fEv";
  CHECK(names(text).brief == "whence::fixed_string::f");
  CHECK(names(text).full == "whence::fixed_string<4ul>::f()");
}

TEST_CASE("names of other languages look as in pprof") {
  const names old(
      "_ZN46_$LT$shop..Cart$u20$as$u20$core..ops..Drop$GT$4drop17h0123456789abcdefE.llvm.7");
  CHECK(old.brief == "<shop::Cart as core::ops::Drop>::drop");
  CHECK(old.full == old.brief);
  CHECK(names("_ZN4core3fmt5write17h0123456789abcdefE").brief == "core::fmt::write");
  // Without the hash it is not Rust.
  CHECK(names("_ZN4core3fmt5write17h0123456789abcdeFE").brief != "core::fmt::write");
  // pprof finds the first one's name by itself if it gets it whole, and shows the others unchanged.
  for (const char* name : {"_RNvCs1234_7mycrate3foo", "_D3std5stdio", "$s4main3fooyyF"}) {
    CHECK(names(name).brief == name);
    CHECK(names(name).system == name);
  }
}
