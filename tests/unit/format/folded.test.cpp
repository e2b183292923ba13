// SPDX-License-Identifier: Apache-2.0
//
// The oracle is a map of texts, as other tools fold stacks.
#include <doctest/doctest.h>

#include <cstdint>
#include <map>
#include <random>
#include <span>
#include <string>
#include <vector>

#include <whence/format/folded.hpp>
#include <whence/format/frames.hpp>
#include <whence/format/json.hpp>
#include <whence/profile.hpp>
#include <whence/snapshots/snapshot.hpp>

using namespace whence;

namespace {

// Stacks of this program's own code, some of which lead through a function that is dropped.
std::vector<std::uintptr_t> some_code() {
  std::vector<std::uintptr_t> all;
  const auto begin = reinterpret_cast<std::uintptr_t>(&some_code);
  for (std::uintptr_t i = 0; i < 40; ++i) all.push_back(begin + 97 * i);
  all.push_back(
      reinterpret_cast<std::uintptr_t>(static_cast<void* (*)(std::size_t)>(&::operator new)) + 1);
  return all;
}

std::string expected(const profile_snapshot& s) {
  format::shown_frames shown(s, format::library_leaves::are_shown);
  std::map<std::string, std::int64_t> sums;
  for (const profile_row& row : s.rows) {
    if (row.values[0] == 0) continue;
    std::string line;
    const std::span<const symbols::frame> frames = shown.of(row);
    for (auto f = frames.rbegin(); f != frames.rend(); ++f) {
      if (!line.empty()) line += ';';
      for (const char c : format::clean(f->name)) line += c == ';' ? ':' : c;
    }
    sums[line] += row.values[0];
  }
  std::string text;
  for (const auto& [line, sum] : sums) text += line + " " + std::to_string(sum) + "\n";
  return text;
}

}  // namespace

TEST_CASE("lines are sorted as text and equal ones are one") {
  const std::vector<std::uintptr_t> code = some_code();
  std::minstd_rand generator(5);
  const auto below = [&](std::size_t n) { return static_cast<std::size_t>(generator() >> 8) % n; };
  std::vector<std::vector<std::uintptr_t>> stacks(3000);
  profile_snapshot s;
  s.header.kind = instruments::kind::heap;
  for (auto& stack : stacks) {
    for (std::size_t depth = below(9); depth-- > 0;) stack.push_back(code[below(code.size())]);
    profile_row row;
    row.stack = stack;
    row.truncated = below(7) == 0;
    row.leaf_is_ip = below(5) == 0;
    row.values[0] = static_cast<std::int64_t>(below(3));
    s.rows.push_back(row);
  }
  std::string text;
  sink out(text);
  REQUIRE_FALSE(format::write_folded(out, s, 0, 1 << 20));
  CHECK(text == expected(s));
  CHECK(text.size() > 10'000);
  std::string part;
  sink into_part(part);
  CHECK(format::write_folded(into_part, s, 0, 100) == std::errc::file_too_large);
  CHECK(part.size() <= 100);
  std::string none;
  sink to_none(none);
  CHECK_FALSE(format::write_folded(to_none, profile_snapshot{}, 0, 1));
  CHECK(none.empty());
}

TEST_CASE("a sink that fails ends the work") {
  const std::vector<std::uintptr_t> code = some_code();
  profile_snapshot s;
  profile_row row;
  row.stack = code;
  row.values[0] = 1;
  s.rows.push_back(row);
  int writes = 0;
  sink out([&writes](std::span<const std::byte>) {
    ++writes;
    return std::make_error_code(std::errc::broken_pipe);
  });
  CHECK(format::write_folded(out, s, 0, 1 << 20) == std::errc::broken_pipe);
  CHECK(format::json_writer().write(out, s) == std::errc::broken_pipe);
  CHECK(writes == 1);
}
