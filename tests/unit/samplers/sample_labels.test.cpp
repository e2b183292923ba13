// SPDX-License-Identifier: Apache-2.0
//
// A request's number as a label: in the windows its value, in what stays `[other]`.
#include <doctest/doctest.h>
#include <time.h>

#include <cstdint>
#include <cstdlib>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "support/cpu_probe.hpp"
#include "support/heap_probe.hpp"
#include "support/sanitizers.hpp"
#include "support/ticks.hpp"
#include "support/wait_probe.hpp"
#include <whence/allocator.hpp>
#include <whence/cpu.hpp>
#include <whence/knobs.hpp>
#include <whence/labels.hpp>
#include <whence/profile.hpp>
#include <whence/state/attach.hpp>
#include <whence/thread.hpp>
#include <whence/wall.hpp>

using namespace whence;
using whence_tests::compute_ticks;
using whence_tests::label_of;

namespace {

// A key that has all its values.
std::string full_key(const char* name) {
  for (std::size_t i = 0; i < tables::label_sets::most_values; ++i) {
    (void)labels(name, "bounded " + std::to_string(i));
  }
  return name;
}

// Computes for the number of milliseconds.
void compute_ms(std::int64_t ms) {
  whence_tests::compute_until(whence_tests::this_thread_ns() + ms * 1'000'000);
}

// Enough for three samples. ThreadSanitizer handles signals late, and several of them as one.
void some_ticks() {
  compute_ticks(thread_sanitized ? 40 : 5);
}

bool has_value(const profile_snapshot& s, std::string_view value) {
  for (const profile_row& row : s.rows) {
    for (const label& l : row.labels) {
      if (l.value == value) return true;
    }
  }
  return false;
}

std::int64_t samples_memory() {
  const tables::memory_shares& m = state::attached().budget;
  return static_cast<std::int64_t>(m.cpu_samples.used() + m.wall_samples.used());
}
std::int64_t label_memory() {
  return static_cast<std::int64_t>(state::attached().budget.labels.used());
}

}  // namespace

TEST_CASE("of a thousand requests, a window shows those that had CPU time, each with its own") {
  const std::string key = full_key("request");
  cpu_session session({.hz = 200});
  REQUIRE_FALSE(session.error());
  // Every tenth computes; the others only begin and end.
  std::map<std::string, std::int64_t> used;
  for (int i = 0; i < 1000; ++i) {
    const std::string id = "number " + std::to_string(i);
    const scoped_labels scope{{key, id}, {"tenant", "acme"}};
    if (i % 10 != 0) continue;
    const std::int64_t begin = whence_tests::this_thread_ns();
    compute_ticks(i == 500 ? 80 : 2);
    used[id] = whence_tests::this_thread_ns() - begin;
  }
  session.stop();
  const profile_snapshot p = session.snapshot();
  std::map<std::string, std::int64_t> seen;
  std::map<std::string, std::set<const label*>> arrays;
  for (const profile_row& row : p.rows) {
    const std::string id = label_of(row, key);
    if (id.empty()) continue;
    CHECK(label_of(row, "tenant") == "acme");
    seen[id] += row.values[1];
    arrays[id].insert(row.labels.begin());
    CHECK(row.number == 0);
    for (const label& l : row.labels) CHECK(l.value.data()[l.value.size()] == '\0');
  }
  CHECK(seen.count("[other]") == 0);
  CHECK(seen.size() > 20);
  for (const auto& its : seen) {
    const auto& [id, ns] = its;
    CAPTURE(its.first);
    // (A tick that came late may fall into the next.)
    CHECK((used.count(id) == 1 || ns < 40'000'000));
    CHECK(arrays[id].size() == 1);
  }
  CHECK(static_cast<double>(seen["number 500"]) > 0.7 * static_cast<double>(used["number 500"]));
  CHECK(static_cast<double>(seen["number 500"]) < 1.5 * static_cast<double>(used["number 500"]));
}

TEST_CASE("a value that was there before the window began, or is below another scope, is shown") {
  const std::string key = full_key("long request");
  const scoped_labels scope{key, "began before"};
  CHECK(current_labels()[key] == "[other]");
  cpu_session session({.hz = 200});
  {
    const scoped_labels inner{"phase", "parse"};
    some_ticks();
    const scoped_labels span{full_key("span"), "s1"};
    some_ticks();
  }
  const scoped_labels over{key, "bounded 7"};
  some_ticks();
  session.stop();
  std::map<std::string, std::int64_t> seen;
  for (const profile_row& row : session.snapshot().rows) {
    seen[label_of(row, key) + "|" + label_of(row, "phase") + "|" + label_of(row, "span")] +=
        row.values[0];
  }
  CHECK(seen["began before|parse|"] > 2);
  CHECK(seen["began before|parse|s1"] > 2);
  CHECK(seen["bounded 7||"] > 2);
}

TEST_CASE("a value that is lost is [other], not the one below it") {
  const std::string key = full_key("nested span");
  const labels too_old{key, "inner"};
  for (int i = 0; i < 100'000; ++i) (void)labels{key, std::to_string(i)};
  cpu_session session({.hz = 200});
  {
    const scoped_labels outer{key, "outer"};
    some_ticks();
    {
      const scoped_labels inner{too_old};
      const scoped_labels phase{"phase", "too old"};
      some_ticks();
    }
    const scoped_labels inner{labels(std::uint64_t{too_old.id()})};  // there was no room
    const scoped_labels phase{"phase", "no room"};
    some_ticks();
  }
  session.stop();
  std::map<std::string, std::int64_t> seen;
  for (const profile_row& row : session.snapshot().rows) {
    seen[label_of(row, key) + "|" + label_of(row, "phase")] += row.values[0];
  }
  CHECK(seen["outer|"] > 1);
  CHECK(seen["[other]|too old"] > 2);
  CHECK(seen["[other]|no room"] > 2);
  CHECK(seen.count("outer|too old") == 0);
  CHECK(seen.count("outer|no room") == 0);
}

TEST_CASE("another thread, and a thread that is made, carry it on") {
  const std::string key = full_key("task");
  cpu_session session({.hz = 200});
  const labels mine{key, "taken along"};
  std::thread other([mine, &session] {
    const scoped_labels_only scope(mine);
    // The session finds the thread when it next looks for threads.
    for (int i = 0; i < 100 && !has_value(session.snapshot(), "taken along"); ++i) some_ticks();
    some_ticks();
  });
  other.join();
  {
    const scoped_labels scope{key, "inherited"};
    tracked_thread made(thread_name{"worker"}, [] { some_ticks(); });
    made.join();
  }
  session.stop();
  std::map<std::string, std::int64_t> seen;
  for (const profile_row& row : session.snapshot().rows) {
    seen[label_of(row, key) + label_of(row, "thread")] += row.values[0];
  }
  CHECK(seen["taken along"] > 2);
  CHECK(seen["inheritedworker"] > 2);
}

TEST_CASE("wall-clock samples show it, asleep and running") {
  const std::string key = full_key("job");
  wall_session session({.hz = 200});
  {
    const scoped_labels scope{key, "sleeps"};
    whence_tests::sleep_ms(200);
  }
  {
    const scoped_labels scope{key, "computes"};
    compute_ms(200);
  }
  session.stop();
  std::map<std::string, std::int64_t> seen;
  for (const profile_row& row : session.snapshot().rows) {
    seen[label_of(row, key) + " " + label_of(row, "state")] += row.values[1];
  }
  CHECK(seen["sleeps waiting"] > 100'000'000);
  CHECK(seen["computes running"] > 50'000'000);
}

TEST_CASE("a value whose set has no room with the state is in wall-clock samples as it is") {
  // User and handler together use up the part of `user`.
  const auto set = [](int handler, int user) {
    return labels{{"handler", "h" + std::to_string(handler)}, {"user", "u" + std::to_string(user)}};
  };
  labels last;
  for (int i = 0; i < 9000; ++i) {
    const labels l = set(i / 1000, i % 1000);
    if (l["user"] != "[other]") last = l;
  }
  REQUIRE(set(8, 999)["user"] == "[other]");
  const std::string user(last["user"]);
  wall_session session({.hz = 200});
  {
    const scoped_labels_only scope{last};
    whence_tests::sleep_ms(200);
    compute_ms(200);
  }
  session.stop();
  std::map<std::string, std::int64_t> seen;
  for (const profile_row& row : session.snapshot().rows) {
    seen[label_of(row, "user") + " " + label_of(row, "state")] += row.values[1];
  }
  CHECK(seen[user + " waiting"] > 100'000'000);
  CHECK(seen[user + " running"] > 50'000'000);
  CHECK(seen.count("[other] waiting") == 0);
  CHECK(seen.count("[other] running") == 0);
}

TEST_CASE("what stays has [other], and memory is flat when windows have closed") {
  const std::string key = full_key("id");
  const std::int64_t rate = set_heap_profile_rate(1);
  std::vector<void*> blocks;
  std::int64_t after_first = 0;
  const std::int64_t before = samples_memory();
  for (int window = 0; window < 30; ++window) {
    cpu_session session({.hz = 200});
    for (int i = 0; i < 1000; ++i) {
      const scoped_labels scope{key, std::to_string(window * 1000 + i) + " of many"};
      if (i % 100 == 0) {
        tracking_allocator<char> all;
        blocks.push_back(all.allocate(4711));
        compute_ms(1);
      }
    }
    session.stop();
    std::set<std::string> ids;
    for (const profile_row& row : session.snapshot().rows) ids.insert(label_of(row, key));
    CHECK(ids.count("[other]") == 0);
    if (window == 20) after_first = label_memory();
  }
  CHECK(samples_memory() == before);
  CHECK(label_memory() == after_first);
  std::set<std::string> kept;
  for (const profile_row& row : lookup("heap")->snapshot().rows) {
    if (!label_of(row, key).empty()) kept.insert(label_of(row, key));
  }
  CHECK(kept == std::set<std::string>{"[other]"});
  for (void* const p : blocks) tracking_allocator<char>().deallocate(static_cast<char*>(p), 4711);
  set_heap_profile_rate(rate);
}
