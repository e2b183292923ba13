// SPDX-License-Identifier: Apache-2.0
//
// The layouts are Go's, from its runtime/pprof; the oracle beside them is `go tool pprof`, whose
// parsers of these formats refuse deviations.
#include <doctest/doctest.h>

#include <cstdint>
#include <string>
#include <vector>

#include "tools.hpp"
#include <whence/format/text.hpp>
#include <whence/snapshots/snapshot.hpp>

using namespace whence;

namespace {

using addresses = std::vector<std::uintptr_t>;

tools::code app() {
  tools::code c;
  c.mapped = {{0x6a0000, 0x6b0000, 0, "/bin/app", ""}};
  c.entries[0x6a7166] = {{{"inner(int)", "_Z5inneri", "/src/ex/inner.hpp", 3},
                          {"live", "live", "/src/ex/main.cpp", 22}},
                         0x6a7120};
  c.entries[0x6a7a69] = {{{"main", "main", "/src/ex/main.cpp", 58}}, 0x6a7a00};
  return c;
}

const addresses both{0x6a7167, 0x6a7a6a};
const addresses only_main{0x6a7a6a};
const addresses nameless{0x6a9000};

profile_row row_of(const addresses& stack, std::array<std::int64_t, 4> values) {
  profile_row r;
  r.stack = stack;
  r.values = values;
  r.raw = values;
  return r;
}

std::string text_of(instruments::kind kind, std::string name, std::vector<profile_row> rows,
                    std::int64_t period = 1) {
  profile_snapshot s;
  s.header.kind = kind;
  s.header.name = std::move(name);
  s.header.period = period;
  s.header.comments = {"whence 1.0.0"};
  s.rows = std::move(rows);
  std::string text;
  sink out(text);
  CHECK_FALSE(format::text_writer<tools::code>(out, app()).write(s));
  return text;
}

std::string raw(const std::string& text) {
  const whence_tests::temp_dir here;
  tools::save(here / "profile.txt", text);
  return tools::output_of("go tool pprof -symbolize=none -raw " + (here / "profile.txt").string());
}

// The inlined function's name, then that of the one around it.
const std::string both_frames =
    "#\t0x6a7166\tinner(int)+0x46\t/src/ex/inner.hpp:3\n"
    "#\t0x6a7166\tlive+0x46\t/src/ex/main.cpp:22\n"
    "#\t0x6a7a69\tmain+0x69\t/src/ex/main.cpp:58\n\n";

// The same after alignment: the widest cell of the column is inner(int)+0x46.
const std::string aligned_frames =
    "#\t0x6a7166\tinner(int)+0x46\t/src/ex/inner.hpp:3\n"
    "#\t0x6a7166\tlive+0x46\t/src/ex/main.cpp:22\n"
    "#\t0x6a7a69\tmain+0x69\t/src/ex/main.cpp:58\n\n";

}  // namespace

TEST_CASE("heap: recorded values, in use first, largest first, twice the rate, then the trailer") {
  profile_row scaled = row_of(both, {53, 1056232, 36, 5944});
  scaled.values = {999, 999, 999, 999};  // pprof scales the values it reads
  const std::string text = text_of(instruments::kind::heap, "heap",
                                   {scaled, row_of(only_main, {3, 12288, 3, 12288})}, 524288);
  const std::string head =
      "heap profile: 39: 18232 [56: 1068520] @ heap/1048576\n"
      "3: 12288 [3: 12288] @ 0x6a7a6a\n"
      "#\t0x6a7a69\tmain+0x69\t/src/ex/main.cpp:58\n\n"
      "36: 5944 [53: 1056232] @ 0x6a7167 0x6a7a6a\n";
  CHECK(text.starts_with(head));
  CHECK(tools::contains(text, "\n\n\n# MaxRSS = "));
  CHECK(text.ends_with("\n# whence 1.0.0\n"));

  const std::string read = raw(text);
  CHECK(tools::contains(read, "PeriodType: space bytes\nPeriod: 524288\n"));
  INFO(read);
  // 12288 bytes in 3 blocks of 4096: 3 / (1 - exp(-4096/524288)) = 385 objects.
  CHECK(tools::contains(read, "385    1579015        385    1579015: "));
}

TEST_CASE("heap: equal totals are made different, or pprof would read no allocations") {
  const std::string text =
      text_of(instruments::kind::heap, "heap", {row_of(only_main, {3, 12288, 3, 12288})});
  CHECK(text.starts_with("heap profile: 3: 12288 [3: 12289] @ heap/2\n"));
  CHECK(tools::contains(raw(text), "alloc_objects/count alloc_space/bytes"));
  CHECK(text_of(instruments::kind::allocs, "allocs", {})
            .starts_with("heap profile: 0: 0 [0: 1] @ heap/2\n"));
}

TEST_CASE("block and mutex: delay in nanoseconds, then contentions, the longest first") {
  const std::vector<profile_row> rows{row_of(only_main, {2, 100, 0, 0}),
                                      row_of(both, {1, 78503204, 0, 0})};
  const std::string records = "78503204 1 @ 0x6a7167 0x6a7a6a\n" + aligned_frames +
                              "100 2 @ 0x6a7a6a\n#\t0x6a7a69\tmain+0x69\t/src/ex/main.cpp:58\n\n";
  const std::string block = text_of(instruments::kind::block, "block", rows);
  CHECK(block == "--- contention:\ncycles/second=1000000000\n" + records);
  const std::string mutex = text_of(instruments::kind::mutex, "mutex", rows);
  CHECK(mutex == "--- mutex:\ncycles/second=1000000000\nsampling period=1\n" + records);
  for (const std::string& text : {block, mutex}) {
    CHECK(tools::contains(raw(text), "contentions/count delay/nanoseconds\n"));
    CHECK(tools::contains(raw(text), "1   78503204: "));
  }
}

TEST_CASE("each layout says what its names lack") {
  struct code_that_lacks : tools::code {
    std::vector<std::string> notes() const { return {"/bin/app: could not be read"}; }
  };
  using instruments::kind;
  for (const kind k : {kind::heap, kind::block, kind::mutex, kind::threadcreate}) {
    profile_snapshot s;
    s.header.kind = k;
    s.header.name = "some";
    s.header.period = 1;
    s.rows = {row_of(only_main, {1, 1, 1, 1})};
    std::string text;
    sink out(text);
    CHECK_FALSE(format::text_writer<code_that_lacks>(out, {app()}).write(s));
    CHECK(tools::contains(text, "\n# /bin/app: could not be read\n"));
    CHECK(tools::contains(raw(text), "Samples:"));
  }
}

TEST_CASE("labels stand under their stack, as comments, and tell stacks apart") {
  const instruments::label orders[] = {{"lock", "orders"}, {"tenant", "a\"b\\c\n\t\x01"}};
  profile_row row = row_of(only_main, {2, 100, 0, 0});
  row.labels = {orders, 2};
  row.number = 64;
  const std::string mutex = text_of(instruments::kind::mutex, "mutex", {row});
  CHECK(tools::contains(mutex,
                        "100 2 @ 0x6a7a6a\n# labels: {\"lock\":\"orders\", "
                        "\"tenant\":\"a\\\"b\\\\c\\n\\t\\x01\", "
                        "\"delay\":\"64 nanoseconds\"}\n#\t0x6a7a69"));
  CHECK(tools::contains(raw(mutex), "2        100: "));
  row.number = 0;
  const std::string counts =
      text_of(instruments::kind::custom, "x", {row, row_of(only_main, {7, 0, 0, 0})});
  CHECK(tools::contains(counts, "7 @ 0x6a7a6a\n#\t0x6a7a69"));
  CHECK(tools::contains(counts, "2 @ 0x6a7a6a\n# labels: {\"lock\":\"orders\", "));
  const std::string holds = text_of(instruments::kind::mutex_hold, "mutex_hold", {row});
  CHECK(holds.starts_with("mutex_hold profile: total 100\n100 @ 0x6a7a6a\n# labels: "));
  CHECK(tools::contains(raw(holds), "mutex_hold/count"));
}

TEST_CASE("counts: the total, equal stacks merged, the largest first, then by their text") {
  const std::string text = text_of(instruments::kind::custom, "example.com/files",
                                   {row_of(only_main, {1, 0, 0, 0}), row_of(both, {1, 0, 0, 0}),
                                    row_of(both, {2, 0, 0, 0}), row_of(nameless, {1, 0, 0, 0})});
  CHECK(text ==
        "example.com/files profile: total 5\n"
        "3 @ 0x6a7167 0x6a7a6a\n" +
            aligned_frames +
            "1 @ 0x6a7a6a\n#\t0x6a7a69\tmain+0x69\t/src/ex/main.cpp:58\n\n"
            "1 @ 0x6a9000\n#\t0x6a8fff\n\n");
  CHECK(tools::contains(raw(text), "PeriodType: example.com/files count") +
            tools::contains(raw(text), "example.com/files/count") >
        0);
  CHECK(text_of(instruments::kind::custom, "empty", {}) == "empty profile: total 0\n");
}

TEST_CASE("pseudo-frames show, and each record has an address, which pprof demands") {
  const addresses none;
  profile_row cut = row_of(only_main, {2, 0, 0, 0});
  cut.truncated = true;
  const std::string text =
      text_of(instruments::kind::threadcreate, "threadcreate", {row_of(none, {5, 0, 0, 0}), cut});
  CHECK(text ==
        "threadcreate profile: total 7\n"
        "5 @ 0x3\n#\t0x3\t[unknown]+0x0\t:0\n\n"
        "2 @ 0x6a7a6a 0x2\n#\t0x6a7a69\tmain+0x69\t/src/ex/main.cpp:58\n"
        "#\t0x2\t\t[truncated]+0x0\t:0\n\n");
  CHECK(tools::contains(raw(text), "threadcreate"));
}

TEST_CASE(
    "instances of a template, which have one short name, are told apart at the end of a line") {
  tools::code c = app();
  c.entries[0x6a7a69] = {{{"shop::prices", "_ZN4shop6pricesIiEEvT_", "/src/ex/main.cpp", 58}},
                         0x6a7a00};
  profile_snapshot s;
  s.header.kind = instruments::kind::threadcreate;
  s.header.name = "threadcreate";
  s.rows = {row_of(only_main, {1})};
  const auto written = [&](write_options options) {
    std::string text;
    sink out(text);
    CHECK_FALSE(format::text_writer<tools::code>(out, c, options).write(s));
    return text;
  };
  const std::string brief = "#\t0x6a7a69\tshop::prices+0x69\t/src/ex/main.cpp:58";
  CHECK(written({}).find(brief + "\tshop::prices<int>\n") != std::string::npos);
  CHECK(written({.names = name_style::templates}).find("\tshop::prices<int>+0x69\t") !=
        std::string::npos);
}

TEST_CASE("a name cannot forge a line") {
  CHECK(text_of(instruments::kind::custom, "a\nb\tc", {}) == "a?b?c profile: total 0\n");
}

TEST_CASE("errors of the sink are returned") {
  profile_snapshot s;
  s.header.name = "x";
  sink out("/dev/full");
  CHECK(format::write_text(out, s) == std::errc::no_space_on_device);
}
