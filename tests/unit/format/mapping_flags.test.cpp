// SPDX-License-Identifier: Apache-2.0
//
// What a profile says about its names, and about the modules that have some of them.
#include <doctest/doctest.h>

#include <cstddef>
#include <string>
#include <utility>
#include <vector>

#include "encoded.hpp"
#include "tools.hpp"
#include <whence/format/mapping_flags.hpp>
#include <whence/names.hpp>

using namespace whence;
using namespace encoded;

TEST_CASE("each style has its names, and the mangled one stays beside them") {
  const addresses stack{0x400010};
  for (const auto& [style, push] : {std::pair{name_style::brief, "ns::push"},
                                    {name_style::templates, "ns::push<int>"},
                                    {name_style::full, "void ns::push<int>(int)"},
                                    {name_style::mangled, "_ZN2ns4pushIiEEvi"}}) {
    const std::string file = encode(header_of(instruments::kind::custom, "x"), {row_of(stack, 1)},
                                    app(), {.names = style});
    const std::vector<std::string> texts = strings_of(decoded(file));
    const std::string function = blocks(decoded(file), "function").at(0);
    const auto text_of = [&](const std::string& field) {
      const std::size_t at = function.find("  " + field + ": ") + field.size() + 4;
      return texts.at(std::stoul(function.substr(at)));
    };
    CHECK(text_of("name") == push);
    CHECK(text_of("system_name") == "_ZN2ns4pushIiEEvi");
    // pprof shows the given name, and shortens it only if it is the mangled one.
    CHECK(tools::contains(raw(file), style == name_style::mangled ? " ns::push " : push));
  }
}

TEST_CASE("a module without symbols says so, and one with names alone has no lines") {
  const addresses stack{0x400050, 0x400060, 0x7f0000000010};
  const auto file = [&](symbol_mode mode) {
    return encode(header_of(instruments::kind::custom, "x"), {row_of(stack, 1)}, app(),
                  {.symbols = mode});
  };
  const auto flags = [&](symbol_mode mode, std::size_t mapping) {
    const std::string block = blocks(decoded(file(mode)), "mapping").at(mapping);
    std::string set;
    for (const char* name : {"functions", "filenames", "line_numbers", "inline_frames"}) {
      if (tools::contains(block, "has_" + std::string(name) + ": true")) set += name[0];
    }
    return set;
  };
  const auto lines = [&](symbol_mode mode) {
    return tools::count(decoded(file(mode)), "  line {\n");
  };
  CHECK(flags(symbol_mode::automatic, 0).empty());
  CHECK(flags(symbol_mode::automatic, 1) == "f");
  CHECK(lines(symbol_mode::automatic) == 3);
  CHECK(tools::contains(decoded(file(symbol_mode::automatic)), "\"[app+0x7]\""));
  CHECK(flags(symbol_mode::deferred, 0).empty());
  CHECK(flags(symbol_mode::deferred, 1) == "f");
  CHECK(lines(symbol_mode::deferred) == 1);
  CHECK(flags(symbol_mode::all, 0) == "ffli");
  CHECK(flags(symbol_mode::all, 1) == "ffli");
  CHECK(lines(symbol_mode::all) == 3);
  CHECK(flags(symbol_mode::none, 0).empty());
  CHECK(flags(symbol_mode::none, 1).empty());
  CHECK(lines(symbol_mode::none) == 0);
  CHECK(blocks(decoded(file(symbol_mode::none)), "function").empty());
}

TEST_CASE("a stripped module with some known names can be completed by other tools") {
  const addresses stack{0x400010, 0x400050};  // one exported, one not
  const auto text = [&](symbol_mode mode, bool is_stripped) {
    tools::code code = app();
    code.is_stripped = is_stripped;
    return decoded(encode(header_of(instruments::kind::custom, "x"), {row_of(stack, 1)}, code,
                          {.symbols = mode}));
  };
  const auto has_functions = [&](symbol_mode mode, bool is_stripped) {
    const std::string mapping = blocks(text(mode, is_stripped), "mapping").at(0);
    return tools::contains(mapping, "has_functions: true");
  };
  const auto lines = [&](symbol_mode mode, bool is_stripped) {
    return tools::count(text(mode, is_stripped), "  line {\n");
  };
  CHECK_FALSE(has_functions(symbol_mode::automatic, true));
  CHECK(has_functions(symbol_mode::automatic, false));
  CHECK(has_functions(symbol_mode::all, true));
  // Known names are kept in any case.
  CHECK(lines(symbol_mode::deferred, true) + 1 == lines(symbol_mode::automatic, true));
  CHECK(lines(symbol_mode::deferred, false) == lines(symbol_mode::automatic, false));
}

TEST_CASE("a mapping without a file keeps its names, since readers cannot find any") {
  tools::code code = app();
  code.mapped.clear();
  const addresses stack{0x600010, tables::pseudo::overflow};
  const std::string text =
      decoded(encode(header_of(instruments::kind::custom, "x"), {row_of(stack, 1)}, code,
                     {.symbols = symbol_mode::deferred}));
  CHECK(tools::count(text, "  line {\n") == 2);
}
