// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include <atomic>
#include <cstdint>
#include <limits>
#include <set>
#include <stdexcept>
#include <string>
#include <thread>
#include <type_traits>
#include <vector>

#include "support/heap_probe.hpp"
#include "support/wait_probe.hpp"
#include <whence/allocator.hpp>
#include <whence/knobs.hpp>
#include <whence/labels.hpp>
#include <whence/mutex.hpp>
#include <whence/profile.hpp>
#include <whence/state/attach.hpp>
#include <whence/state/thread_labels.hpp>
#include <whence/sync.hpp>
#include <whence/tracked.hpp>

using namespace whence;
using whence_tests::label_of;

namespace {

std::string text(labels l) {
  std::string all;
  for (const label& one : l) all += std::string(one.key) + "=" + std::string(one.value) + " ";
  return all;
}
std::string now() {
  return text(current_labels());
}

static_assert(std::is_trivially_copyable_v<labels> && sizeof(labels) == 8);
static_assert(std::is_empty_v<basic_scoped_labels<false>> &&
              std::is_empty_v<basic_scoped_labels_only<false>>);
static_assert(!std::is_copy_constructible_v<scoped_labels> &&
              !std::is_move_constructible_v<scoped_labels>);

}  // namespace

TEST_CASE("a set is sorted by key, has one value a key, and is equal to the same set") {
  CHECK(text({{"b", "2"}, {"a", "1"}, {"c", ""}}) == "a=1 b=2 c= ");
  CHECK(text({{"k", "first"}, {"a", "1"}, {"k", "second"}}) == "a=1 k=second ");
  CHECK(labels{{"a", "1"}, {"b", "2"}} == labels{{"b", "2"}, {"a", "1"}});
  CHECK_FALSE(labels{{"a", "1"}} == labels{{"a", "2"}});
  CHECK(labels{}.empty());
  CHECK(labels{}.size() == 0);
  const labels l{{"handler", "/search"}, {"tenant", "acme"}};
  CHECK(l.size() == 2);
  CHECK(l["tenant"] == "acme");
  CHECK(l["absent"].empty());
  CHECK(text(l.with({{"tenant", "other"}, {"z", "9"}})) == "handler=/search tenant=other z=9 ");
  CHECK(l.with({}) == l);
  CHECK(labels{}.with(l) == l);
}

TEST_CASE("a value may be an integer, and one label needs no inner braces") {
  const std::string path = "/search";
  const std::uint64_t id = 42;
  CHECK(text({{"tenant", id}, {"handler", path}, {"shard", -7}}) ==
        "handler=/search shard=-7 tenant=42 ");
  CHECK(text({"tenant", id}) == "tenant=42 ");
  CHECK(text({"handler", path}) == "handler=/search ");
  CHECK(labels{"n", 42} == labels{{"n", "42"}});
  CHECK(labels{"n", 0}["n"] == "0");
  CHECK(labels{"n", std::numeric_limits<std::int64_t>::min()}["n"] == "-9223372036854775808");
  CHECK(labels{"n", std::numeric_limits<std::int64_t>::max()}["n"] == "9223372036854775807");
  CHECK(labels{"n", std::numeric_limits<std::uint64_t>::max()}["n"] == "18446744073709551615");
  CHECK(labels{"n", std::int8_t{-128}}["n"] == "-128");
  CHECK(labels{"n", std::uint8_t{255}}["n"] == "255");
  // If a key has two values, the later one is taken, of whatever type.
  CHECK(text({{"k", 1}, {"k", "second"}, {"k", 3}}) == "k=3 ");
  CHECK(text({{"empty", {}}}) == "empty= ");
  {
    const scoped_labels scope{"tenant", id};
    CHECK(now() == "tenant=42 ");
    const scoped_labels inner("phase", "parse");
    CHECK(now() == "phase=parse tenant=42 ");
    with_labels({"tenant", 43}, [] { CHECK(now() == "phase=parse tenant=43 "); });
  }
  CHECK(now().empty());
  // These would lose their meaning as a number.
  CHECK_FALSE(std::is_convertible_v<bool, label_value>);
  CHECK_FALSE(std::is_convertible_v<char, label_value>);
  CHECK_FALSE(std::is_convertible_v<double, label_value>);
}

TEST_CASE("texts of every length are told apart") {
  std::set<std::string> seen;
  std::string long_text;
  for (int i = 0; i < 40; ++i) {
    const labels l{{"k", long_text}, {long_text, "v"}};
    CHECK(l["k"] == (i == 1 ? "v" : long_text));
    CHECK(l[long_text] == "v");
    CHECK(seen.insert(text(l)).second);
    long_text += i == 0 ? 'k' : static_cast<char>('a' + i % 26);
  }
  for (const std::size_t size : {1U, 3U, 7U, 8U, 9U, 16U, 17U}) {
    for (std::size_t i = 0; i < size; ++i) {
      std::string other(size, 'x');
      const labels before{{"k", other}};
      other[i] = 'y';
      CHECK_FALSE(before == labels{{"k", other}});
    }
  }
}

TEST_CASE("more than 64 labels are refused, and more than 64 together are [overflow]") {
  const auto made = [](int from, int count) {
    labels all;
    for (int i = from; i < from + count; ++i) all = all.with({{"k" + std::to_string(i), "v"}});
    return all;
  };
  CHECK(made(0, 64).size() == 64);
  CHECK(text(made(0, 65)) == "labels=[overflow] ");
  // A sampler's own labels have reserved room.
  state::process_state& all = state::attached();
  const std::uint32_t with_state =
      all.label_merges.over(made(0, 64).id(), labels{{"state", "x"}}.id(), tables::most_with_state);
  CHECK(all.labels.of(with_state).size() == 65);
  using p = std::pair<std::string_view, std::string_view>;
  const p v{"k", "v"};
  CHECK(labels{v, v, v}.size() == 1);
  CHECK_THROWS_WITH_AS((labels{v, v, v, v, v, v, v, v, v, v, v, v, v, v, v, v, v, v, v, v, v, v,
                               v, v, v, v, v, v, v, v, v, v, v, v, v, v, v, v, v, v, v, v, v, v,
                               v, v, v, v, v, v, v, v, v, v, v, v, v, v, v, v, v, v, v, v, v}),
                       "whence::labels: more than 64 labels", std::length_error);
}

TEST_CASE("scopes nest, merge, and restore the labels, also after an exception") {
  CHECK(now().empty());
  {
    const scoped_labels outer{{"handler", "/a"}, {"tenant", "acme"}};
    CHECK(now() == "handler=/a tenant=acme ");
    try {
      const scoped_labels inner{{"handler", "/b"}, {"phase", "parse"}};
      CHECK(now() == "handler=/b phase=parse tenant=acme ");
      throw 1;
    } catch (int) {
    }
    CHECK(now() == "handler=/a tenant=acme ");
    {
      const scoped_labels_only other(labels{{"task", "7"}});
      CHECK(now() == "task=7 ");
      const scoped_labels_only none{labels{}};
      CHECK(now().empty());
    }
    CHECK(now() == "handler=/a tenant=acme ");
    const int five = with_labels({{"phase", "render"}}, [] {
      CHECK(now() == "handler=/a phase=render tenant=acme ");
      return 5;
    });
    CHECK(five == 5);
    int n = 0;
    CHECK(&with_labels({{"x", "y"}}, [&n]() -> int& { return n; }) == &n);
  }
  CHECK(now().empty());
}

TEST_CASE("labels are a thread's own, and can be carried to another") {
  const scoped_labels mine{{"task", "1"}};
  const labels carried = current_labels();
  std::string fresh, taken, after;
  std::thread([&] {
    fresh = now();
    {
      const scoped_labels_only scope(carried);
      taken = now();
    }
    after = now();
  }).join();
  CHECK(fresh.empty());
  CHECK(taken == "task=1 ");
  CHECK(after.empty());
  // A thread that ends by pthread_exit inside a scope leaves no labels to the next thread.
  std::thread([] {
    const scoped_labels scope{{"task", "gone"}};
    ::pthread_exit(nullptr);
  }).join();
  std::thread([&] { fresh = now(); }).join();
  CHECK(fresh.empty());
}

TEST_CASE("a scope that ends on another thread changes nothing there") {
  auto* const scope = new scoped_labels{{"task", "moved"}};
  std::string there;
  std::thread([&] {
    const scoped_labels own{{"task", "own"}};
    delete scope;
    there = now();
  }).join();
  CHECK(there == "task=own ");
  CHECK(now() == "task=moved ");
  const_cast<tables::thread_record*>(state::this_thread(state::attached()))->labels.store(0);
}

TEST_CASE("records of ended threads serve the next ones") {
  const auto records = [] {
    std::set<const tables::thread_record*> all;
    for (int i = 0; i < 200; ++i) {
      std::thread([&all] {
        const scoped_labels scope{{"i", "j"}};
        all.insert(state::this_thread(state::attached()));
      }).join();
    }
    return all.size();
  };
  CHECK(records() <= 3);
}

TEST_CASE("samples of memory, waits, holds and custom profiles carry the current labels") {
  const whence_tests::wait_rates every(1, 1, 1);
  const std::int64_t rate = set_heap_profile_rate(1);
  using r = prefixed_registry<"labels.all">;
  const scoped_labels scope{{"handler", "/all"}};
  tracked_mutex<std::mutex, r> m{"orders"};
  basic_tracked_counting_semaphore<1, r> nothing("slots", 0);
  std::vector<int, tracking_allocator<int, r>> memory(1000);
  {
    const std::lock_guard hold(m);
    CHECK_FALSE(nothing.try_acquire_for(std::chrono::milliseconds(1)));
    std::thread waiter([&m] {
      const scoped_labels own{{"handler", "/waiter"}, {"lock", "mine"}};
      const std::lock_guard late(m);
    });
    whence_tests::wait_until_waiting(r::block(), 2);
    waiter.detach();
  }
  while (whence_tests::waits_of(r::mutex_hold()).count < 2) std::this_thread::yield();
  profile& custom = new_profile("labels.custom");
  custom.add(1);
  const tracked<custom_profile<"labels.entries">> entry;
  set_heap_profile_rate(rate);

  const auto labels_in = [](const profile& p) {
    std::set<std::string> all;
    for (const profile_row& row : p.snapshot().rows) {
      std::string one;
      for (const label& l : row.labels)
        one += std::string(l.key) + "=" + std::string(l.value) + " ";
      all.insert(one);
    }
    return all;
  };
  using set = std::set<std::string>;
  CHECK(labels_in(r::heap()) == set{"handler=/all "});
  // The name of the awaited object is a label in addition to the thread's.
  CHECK(labels_in(r::block()) == set{"handler=/all wait=slots ", "handler=/waiter lock=orders "});
  CHECK(labels_in(r::mutex()) == set{"handler=/all lock=orders "});
  CHECK(labels_in(r::mutex_hold()) ==
        set{"handler=/all lock=orders ", "handler=/waiter lock=orders "});
  CHECK(labels_in(custom) == set{"handler=/all "});
  CHECK(labels_in(custom_profile<"labels.entries">::get()) == set{"handler=/all "});
}

TEST_CASE("threads that label, merge and read at once agree") {
  std::atomic<bool> wrong{false};
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&wrong, t] {
      for (int i = 0; i < 3000; ++i) {
        const std::string handler = "/h" + std::to_string(i % 7);
        const std::string tenant = "t" + std::to_string((i * 3 + t) % 11);
        const scoped_labels outer{{"churn.handler", handler}};
        const scoped_labels inner{{"churn.tenant", tenant}};
        if (now() != "churn.handler=" + handler + " churn.tenant=" + tenant + " ") wrong = true;
      }
    });
  }
  for (auto& t : threads) t.join();
  CHECK_FALSE(wrong);
}
