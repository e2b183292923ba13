// SPDX-License-Identifier: Apache-2.0
//
// Profiles of an invented program, written, and read by protoc and by pprof.
#ifndef WHENCE_TESTS_FORMAT_ENCODED_HPP
#define WHENCE_TESTS_FORMAT_ENCODED_HPP

#include <doctest/doctest.h>

#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "tools.hpp"
#include <whence/format/profile_writer.hpp>
#include <whence/names.hpp>
#include <whence/snapshots/snapshot.hpp>

namespace encoded {

using namespace whence;

using addresses = std::vector<std::uintptr_t>;

// An app with main, a function inlined into another, and a C function.
inline tools::code app() {
  tools::code c;
  c.mapped = {{0x400000, 0x500000, 0x1000, "/bin/app", "00ff"},
              {0x7f0000000000, 0x7f0000100000, 0, "/lib/libc.so", ""}};
  c.entries[0x40000f] = {{{"ns::push", "_ZN2ns4pushIiEEvi", "/src/v.hpp", 10},
                          {"ns::work", "_ZN2ns4workEv", "/src/w.cpp", 20}},
                         0x400000};
  c.entries[0x40001f] = {{{"main", "main", "/src/main.cpp", 30}}, 0x400010};
  c.entries[0x7f000000000f] = {{{"qsort", "qsort", "", 0}}, 0x7f0000000000};
  return c;
}

inline profile_header header_of(instruments::kind kind, std::string name) {
  profile_header h;
  h.kind = kind;
  h.name = std::move(name);
  h.time_ns = 1'700'000'000'000'000'000;
  return h;
}

inline profile_row row_of(const addresses& stack, std::int64_t value) {
  profile_row r;
  r.stack = stack;
  r.values = {value};
  r.raw = r.values;
  return r;
}

inline std::string encode(const profile_header& header, const std::vector<profile_row>& rows,
                          tools::code code = app(), write_options options = {}) {
  std::string file;
  sink out(file);
  format::basic_profile_writer<format::stored, tools::code> writer(out, header, std::move(code),
                                                                   options);
  for (const profile_row& row : rows) writer.add(row);
  CHECK_FALSE(writer.finish());
  return file;
}

// The form in which protoc prints it.
inline std::string decoded(const std::string& file) {
  const whence_tests::temp_dir here;
  tools::save(here / "profile.pb", file);
  return tools::decode(here / "profile.pb", false);
}

inline std::string raw(const std::string& file) {
  const whence_tests::temp_dir here;
  tools::save(here / "profile.pb", file);
  const std::string text = tools::output_of("go tool pprof -raw " + (here / "profile.pb").string());
  CHECK_FALSE(tools::contains(text, "failed"));
  return text;
}

// The blocks "field {...}" of protoc's output.
inline std::vector<std::string> blocks(const std::string& text, const std::string& field) {
  std::vector<std::string> result;
  const std::string begin = "\n" + field + " {\n";
  const std::string all = "\n" + text;
  for (std::size_t at = all.find(begin); at != std::string::npos; at = all.find(begin, at + 1)) {
    const std::size_t from = at + begin.size();
    result.push_back(all.substr(from, all.find("\n}", from) + 1 - from));
  }
  return result;
}

// The string_table of protoc's output, in its order.
inline std::vector<std::string> strings_of(const std::string& text) {
  std::vector<std::string> result;
  const std::string begin = "string_table: \"";
  for (std::size_t at = text.find(begin); at != std::string::npos; at = text.find(begin, at + 1)) {
    const std::size_t from = at + begin.size();
    result.push_back(text.substr(from, text.find("\"\n", from) - from));
  }
  return result;
}

}  // namespace encoded

#endif  // WHENCE_TESTS_FORMAT_ENCODED_HPP
