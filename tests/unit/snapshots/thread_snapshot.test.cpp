// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include <string>
#include <utility>

#include <whence/format/sink.hpp>
#include <whence/format/text.hpp>
#include <whence/snapshots/thread_snapshot.hpp>

using namespace whence;

TEST_CASE("threads without a stack are said to have none in the grouped text, too") {
  snapshots::thread_dump dump;
  dump.header.kind = instruments::kind::goroutine;
  dump.header.name = "goroutine";
  for (const char* note : {"", "it sleeps, and its stack may not be read", ""}) {
    snapshots::thread_state& t = dump.threads.emplace_back();
    t.stack.values[0] = t.stack.raw[0] = 1;
    t.note = note;
  }
  const profile_snapshot grouped = snapshots::grouped(std::move(dump));
  REQUIRE(grouped.rows.size() == 1);
  CHECK(grouped.rows[0].values[0] == 3);
  std::string text;
  sink out(text);
  CHECK_FALSE(format::text_writer<>(out).write(grouped));
  CHECK(text.find("# 1 threads have no stack, or not all of it\n") != text.npos);
}
