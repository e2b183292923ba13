// SPDX-License-Identifier: Apache-2.0
//
// The oracles are protoc with pprof's schema and `go tool pprof`; neither knows this writer.
#include <doctest/doctest.h>
#include <malloc.h>
#include <sys/resource.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>
#include <string>
#include <system_error>
#include <vector>

#include "encoded.hpp"
#include "support/sanitizers.hpp"
#include "tools.hpp"
#include <whence/format/profile_writer.hpp>
#include <whence/snapshots/snapshot.hpp>

using namespace whence;

using namespace encoded;

TEST_CASE("a profile reads back in pprof: names, lines, inlined frames innermost first") {
  const addresses stack{0x400010, 0x400020, 0x7f0000000010};
  const std::string text =
      raw(encode(header_of(instruments::kind::custom, "app.files"), {row_of(stack, 5)}));
  CHECK(tools::contains(text, "PeriodType: app.files count\nPeriod: 1\n"));
  CHECK(tools::contains(text, "Samples:\napp.files/count\n          5: 1 2 3 \n"));
  CHECK(tools::contains(text, "1: 0x40000f M=1 ns::push /src/v.hpp:10 s=0"));
  CHECK(tools::contains(text, "ns::work /src/w.cpp:20"));
  CHECK(text.find("ns::push") < text.find("ns::work"));
  CHECK(tools::contains(text, "2: 0x40001f M=1 main /src/main.cpp:30"));
  CHECK(tools::contains(text, "3: 0x7f000000000f M=2 qsort"));
  CHECK(tools::contains(text, "1: 0x400000/0x500000/0x1000 /bin/app 00ff [FN][FL][LN][IN]"));
  CHECK(tools::contains(text, "2: 0x7f0000000000/0x7f0000100000/0x0 /lib/libc.so  [FN]\n"));
}

TEST_CASE("pprof shows names as they are, templates and arguments too") {
  tools::code code = app();
  code.entries[0x40002f] = {
      {{"std::vector<int>::push_back(int)", "_ZNSt6vectorIiE9push_backEi", "", 0}}, 0x400020};
  code.entries[0x40003f] = {{{"f<int>(int)", "f<int>(int)", "", 0}}, 0x400030};
  const addresses stack{0x400030, 0x400040};
  const std::string text =
      raw(encode(header_of(instruments::kind::custom, "x"), {row_of(stack, 1)}, code));
  CHECK(tools::contains(text, "std::vector<int>::push_back(int)"));
  CHECK(tools::contains(text, "f<int>(int)"));
}

TEST_CASE("every kind has the sample types, period and default that backends key on") {
  const auto types = [](instruments::kind kind, std::int64_t period) {
    profile_header h = header_of(kind, core::info(kind).name);
    h.period = period;
    return raw(encode(h, {}));
  };
  for (const instruments::kind kind : {instruments::kind::heap, instruments::kind::allocs}) {
    const std::string text = types(kind, 524288);
    CHECK(tools::contains(text, "PeriodType: space bytes\nPeriod: 524288\n"));
    CHECK(tools::contains(text, "alloc_objects/count alloc_space/bytes"));
    CHECK(tools::contains(text, "inuse_objects/count inuse_space/bytes"));
    CHECK(tools::contains(text, kind == instruments::kind::heap ? "inuse_space/bytes[dflt]"
                                                                : "alloc_space/bytes[dflt]"));
  }
  for (const instruments::kind kind : {instruments::kind::block, instruments::kind::mutex}) {
    const std::string text = types(kind, 1);
    CHECK(tools::contains(text, "PeriodType: contentions count\nPeriod: 1\n"));
    CHECK(tools::contains(text, "contentions/count delay/nanoseconds\n"));
  }
  CHECK(tools::contains(types(instruments::kind::goroutine, 1), "PeriodType: goroutine count"));
  CHECK(
      tools::contains(types(instruments::kind::threadcreate, 1), "PeriodType: threadcreate count"));
}

TEST_CASE("a custom profile's type keeps letters, digits, dot, slash and underscore") {
  CHECK(format::sample_type_name("example.com/Files_9") == "example.com/Files_9");
  CHECK(format::sample_type_name("a-b:c d\xc3\xa4") == "a_b_c_d__");
  CHECK(tools::contains(raw(encode(header_of(instruments::kind::custom, "a-b c"), {})),
                        "PeriodType: a_b_c count"));
}

TEST_CASE("time, duration and comments are those of the header; a duration of 0 is left out") {
  profile_header h = header_of(instruments::kind::custom, "x");
  h.comments = {"whence 1.0.0", "7 stacks were cut"};
  std::string text = decoded(encode(h, {}));
  CHECK(tools::contains(text, "time_nanos: 1700000000000000000\n"));
  CHECK_FALSE(tools::contains(text, "duration_nanos"));
  CHECK(tools::contains(raw(encode(h, {})), "whence 1.0.0"));
  CHECK(tools::contains(raw(encode(h, {})), "7 stacks were cut"));
  h.duration_ns = 5;
  CHECK(tools::contains(decoded(encode(h, {})), "duration_nanos: 5\n"));
}

TEST_CASE("a heap sample says its allocation size in the label bytes, with its unit") {
  const addresses stack{0x400010};
  profile_row row = row_of(stack, 0);
  row.values = {2050, 2099200, 1537, 1574400};
  row.number = 1024;
  const std::string file = encode(header_of(instruments::kind::heap, "heap"), {row});
  CHECK(tools::contains(raw(file), "2050    2099200       1537    1574400: 1 \n"));
  CHECK(tools::contains(raw(file), "bytes:[1024 bytes]") +
            tools::contains(raw(file), "bytes:[1024]") >
        0);
  const std::string sample = blocks(decoded(file), "sample").at(0);
  CHECK(tools::count(sample, "label {") == 1);
  CHECK(tools::contains(sample, "num_unit: "));
}

TEST_CASE("labels are strings of a sample, beside the number of its kind") {
  const addresses stack{0x400010};
  const instruments::label labels[] = {{"lock", "orders"}, {"tenant", "a"}};
  profile_row row = row_of(stack, 0);
  row.values = {1, 100};
  row.labels = {labels, 2};
  row.number = 64;
  const std::string file = encode(header_of(instruments::kind::mutex, "mutex"), {row});
  CHECK(tools::contains(raw(file), "lock:[orders] tenant:[a]"));
  CHECK(tools::contains(raw(file), "delay:[64"));
  CHECK(tools::count(blocks(decoded(file), "sample").at(0), "label {") == 3);
  // A kind without a number has no such label.
  CHECK(tools::count(
            blocks(decoded(encode(header_of(instruments::kind::block, "block"), {row})), "sample")
                .at(0),
            "label {") == 2);
}

TEST_CASE("the allocated type is a label, unless the program uses that key") {
  const addresses stack{0x400010};
  profile_row order = row_of(stack, 0);
  order.values = {1, 64, 1, 64};
  order.type = "shop::order";
  order.number = 64;
  profile_row line = order;
  line.type = "std::_List_node<shop::line>";
  profile_row own = order;
  const instruments::label label{"type", "mine"};
  own.labels = {&label, 1};
  profile_row unknown = order;
  unknown.type = {};
  const std::string file =
      encode(header_of(instruments::kind::heap, "heap"), {order, line, own, unknown});
  const std::string text = raw(file);
  CHECK(tools::count(text, "type:[shop::order]") == 1);
  CHECK(tools::count(text, "type:[std::_List_node<shop::line>]") == 1);
  CHECK(tools::count(text, "type:[mine]") == 1);
  const std::vector<std::string> samples = blocks(decoded(file), "sample");
  REQUIRE(samples.size() == 4);
  for (std::size_t i = 0; i < 4; ++i) {
    CHECK(tools::count(samples[i], "label {") == (i == 3 ? 1 : 2));
  }
  const whence_tests::temp_dir here;
  tools::save(here / "heap.pb", file);
  CHECK(tools::contains(tools::output_of("go tool pprof -top -symbolize=none -tagroot type " +
                                         (here / "heap.pb").string()),
                        "shop::order\n"));
}

TEST_CASE("rows without a value are not written, and negative values are kept") {
  const addresses stack{0x400010};
  const std::string text = decoded(
      encode(header_of(instruments::kind::custom, "x"), {row_of(stack, 0), row_of(stack, -3)}));
  REQUIRE(blocks(text, "sample").size() == 1);
  CHECK(tools::contains(blocks(text, "sample")[0], "value: -3\n"));
}

TEST_CASE("an interrupted leaf is listed at its address, a return address at its call") {
  const addresses stack{0x40000f, 0x400020};
  profile_row signal = row_of(stack, 1);
  signal.leaf_is_ip = true;
  const addresses same{0x400010};
  const std::string text =
      decoded(encode(header_of(instruments::kind::custom, "x"), {signal, row_of(same, 2)}));
  // The interrupted instruction and the call are one address, so they are one location.
  REQUIRE(blocks(text, "location").size() == 2);
  CHECK(tools::contains(text, "address: 4194319\n"));  // 0x40000f
  CHECK(tools::contains(text, "address: 4194335\n"));  // 0x40001f
}

TEST_CASE("no stack, a cut stack and impossible addresses show as pseudo-frames") {
  constexpr std::uintptr_t last = std::numeric_limits<std::uintptr_t>::max();
  const addresses none;
  const addresses cut{0x400020};
  const addresses overflow{tables::pseudo::overflow};
  const addresses odd{0, 77, 4096, last};
  profile_row truncated = row_of(cut, 2);
  truncated.truncated = true;
  profile_row interrupted = row_of(odd, 4);
  const addresses end{last};
  profile_row at_end = row_of(end, 5);
  at_end.leaf_is_ip = true;
  const std::string text =
      raw(encode(header_of(instruments::kind::custom, "x"),
                 {row_of(none, 1), truncated, row_of(overflow, 3), interrupted, at_end}));
  CHECK(tools::contains(text, "1: 0x3 M=2 [unknown]"));
  CHECK(tools::contains(text, "3: 0x2 M=2 [truncated]"));
  CHECK(tools::contains(text, "4: 0x1 M=2 [overflow]"));
  // pprof adds up stacks that look alike: the empty one and the one at the last address.
  CHECK(tools::contains(text, "6: 1 \n"));
  CHECK(tools::contains(text, "2: 2 3 \n"));      // [truncated] is the root
  CHECK(tools::contains(text, "4: 1 1 1 5 \n"));  // 0, 77 and 4095 are all [unknown]
  CHECK(tools::contains(text, "1: 0x400000/0x500000/0x1000 /bin/app"));
  CHECK(tools::contains(text, "[whence]"));
  CHECK(tools::count(decoded(encode(header_of(instruments::kind::custom, "x"), {row_of(cut, 2)})),
                     "[whence]") == 0);
}

TEST_CASE("code that is no longer mapped has a mapping, and its name as the symbolizer says it") {
  const addresses stack{0x600010, 0x400020};
  const std::string text =
      raw(encode(header_of(instruments::kind::custom, "x"), {row_of(stack, 1)}));
  CHECK(tools::contains(text, "1: 0x60000f M=2 [app+0x7]"));
  CHECK(tools::contains(text, "2: 0x600000/0x601000/0x0 [unknown]  \n"));
}

TEST_CASE("strings and functions are written once, ids begin with 1, and all is UTF-8") {
  tools::code code = app();
  for (std::uintptr_t i = 0; i < 300; ++i) {
    code.entries[0x401000 + i] = {{{"bad \xff name", "_Zbad\xff", "/src/\xc3.cpp", 3}}, 0x401000};
  }
  code.mapped[1].filename = "/lib/\x80.so";
  addresses stack;
  for (std::uintptr_t i = 0; i < 300; ++i) stack.push_back(0x401001 + i);
  const std::string file =
      encode(header_of(instruments::kind::custom, "x"), {row_of(stack, 1)}, code);
  const std::string text = decoded(file);  // protoc prints bytes in octal
  CHECK(tools::contains(text, "bad \\357\\277\\275 name"));
  CHECK_FALSE(tools::contains(text, "\\377"));
  CHECK_FALSE(tools::contains(text, "\\200"));
  REQUIRE(blocks(text, "location").size() == 300);
  CHECK(blocks(text, "function").size() == 1);
  for (const char* field : {"mapping", "location", "function"}) {
    std::size_t id = 0;
    for (const std::string& block : blocks(text, field)) {
      CHECK(block.starts_with("  id: " + std::to_string(++id) + "\n"));
    }
    CHECK(id > 0);
  }
  std::vector<std::string> strings = strings_of(text);
  REQUIRE(strings.size() > 3);
  CHECK(strings[0].empty());
  std::sort(strings.begin(), strings.end());
  CHECK(std::adjacent_find(strings.begin(), strings.end()) == strings.end());
}

TEST_CASE("an empty profile is valid") {
  const std::string text = decoded(encode(header_of(instruments::kind::mutex, "mutex"), {}));
  CHECK(blocks(text, "sample").empty());
  CHECK(blocks(text, "sample_type").size() == 2);
  CHECK(blocks(text, "mapping").size() == 2);
}

TEST_CASE("the first error of the sink is returned, even an early one") {
  const addresses stack{0x400010, 0x400020};
  const std::vector<profile_row> rows(100'000, row_of(stack, 1));
  for (const int good_calls : {0, 1, 5}) {
    int calls = 0;
    sink out([&](std::span<const std::byte>) {
      return calls++ < good_calls ? std::error_code()
                                  : std::make_error_code(std::errc::no_space_on_device);
    });
    format::basic_profile_writer<format::stored, tools::code> writer(
        out, header_of(instruments::kind::custom, "x"), app());
    for (const profile_row& row : rows) writer.add(row);
    CHECK(writer.finish() == std::errc::no_space_on_device);
    CHECK(calls == good_calls + 1);
  }
}

// Another module has this code by the time the profile is finished.
struct changing_code : tools::code {
  const symbols::location& resolve(std::uintptr_t pc) {
    return changed && *changed ? other.resolve(pc) : tools::code::resolve(pc);
  }
  const bool* changed = nullptr;
  tools::code other{};
};

TEST_CASE("frames apart: samples refer to existing locations, even if names change meanwhile") {
  const addresses stack{0x400010, 0x400020};
  const auto written = [&stack](changing_code code, symbol_mode mode, bool& changed) {
    std::string bytes;
    sink out([&bytes](std::span<const std::byte> part) {
      bytes.append(reinterpret_cast<const char*>(part.data()), part.size());
      return std::error_code{};
    });
    format::basic_profile_writer<format::stored, changing_code> writer(
        out, header_of(instruments::kind::custom, "x"), std::move(code), {.symbols = mode},
        format::inlined_frames::apart);
    writer.add(row_of(stack, 5));
    changed = true;
    CHECK_FALSE(writer.finish());
    return bytes;
  };
  bool changed = false;
  changing_code code{app()};
  const std::string bare = written(code, symbol_mode::none, changed);
  const std::string sample = blocks(decoded(bare), "sample").at(0);
  CHECK(tools::count(sample, "location_id: ") == 2);

  // The first address has two frames, then one.
  changed = false;
  code.changed = &changed;
  code.other = app();
  code.other.entries[0x40000f] = {{{"plugin", "plugin", "", 0}}, 0x400000};
  const std::string text = raw(written(code, symbol_mode::automatic, changed));
  CHECK(tools::contains(text, "          5: 1 2 3 \n"));
  CHECK(tools::contains(text, "1: 0x40000f M=1 plugin"));
  CHECK(tools::contains(text, "3: 0x40001f M=1 main"));
}

TEST_CASE("this program's own code has names, and its file is the first mapping") {
  const whence_tests::temp_dir here;
  // An address inside a function that only the symbol tables know, not the dynamic linker.
  const auto pc = reinterpret_cast<std::uintptr_t>(&tools::output_of) + 1;
  const addresses stack{pc};
  profile_snapshot snapshot;
  snapshot.header = header_of(instruments::kind::custom, "x");
  snapshot.rows = {row_of(stack, 1)};
  sink out(here / "p.pb.gz");
  CHECK_FALSE(format::write_proto(out, snapshot));
  const std::string text = tools::output_of("go tool pprof -raw " + (here / "p.pb.gz").string());
  CHECK(tools::contains(text, " whence_tests::output_of "));
  const std::string program = std::filesystem::read_symlink("/proc/self/exe").string();
  CHECK(tools::contains(text.substr(text.find("Mappings\n")), program));
  CHECK(text.find(program, text.find("Mappings\n")) < text.find("\n2: 0x"));
}

TEST_CASE("a million rows take at most 8 MB" * doctest::skip(sanitized)) {
  constexpr std::size_t depth = 24;
  constexpr std::size_t distinct = 12'000;
  std::vector<std::uintptr_t> pcs(distinct + depth);
  for (std::size_t i = 0; i < pcs.size(); ++i) pcs[i] = 0x400001 + 16 * (i % distinct);
  std::size_t bytes = 0;
  sink out([&bytes](std::span<const std::byte> part) {
    bytes += part.size();
    return std::error_code();
  });
  const auto used = [] { return ::mallinfo2().uordblks + ::mallinfo2().hblkhd; };
  const auto resident = [] {
    rusage usage{};
    ::getrusage(RUSAGE_SELF, &usage);
    return static_cast<std::size_t>(usage.ru_maxrss) * 1024;
  };
  const std::size_t used_before = used();
  const std::size_t resident_before = resident();
  {
    format::basic_profile_writer<format::default_gzip, tools::code> writer(
        out, header_of(instruments::kind::custom, "x"), app());
    std::size_t most = 0;
    for (std::size_t i = 0; i < 1'000'000; ++i) {
      profile_row row;
      row.stack = std::span(pcs).subspan(i * 7919 % distinct, depth);
      row.values = {1};
      writer.add(row);
      if (i % 100'000 == 0) most = std::max(most, used() - used_before);
    }
    CHECK_FALSE(writer.finish());
    CHECK(most < 8'000'000);
    CHECK(bytes > 0);
  }
  CHECK(resident() - resident_before < 8'000'000);
  CHECK(used() < used_before + 10'000);  // all is freed
}
