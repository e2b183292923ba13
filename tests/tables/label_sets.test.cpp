// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include <set>
#include <string>
#include <thread>
#include <vector>

#include <whence/sys/guard.hpp>
#include <whence/tables/label_sets.hpp>

using namespace whence;
using instruments::label;
using tables::label_sets;

namespace {

struct workplace {
  sys::memory_budget budget{std::size_t{256} << 20};
  sys::arena arena{budget};
  tables::losses lost;
  label_sets sets{arena, lost};

  std::uint32_t intern(const std::vector<label>& labels) {
    return sets.intern({labels.data(), labels.size()});
  }
};

std::vector<label> of(const label_sets& sets, std::uint32_t id) {
  const instruments::label_list list = sets.of(id);
  return {list.begin(), list.end()};
}

}  // namespace

TEST_CASE("equal sets have one number, different ones have different numbers, none is zero") {
  workplace w;
  CHECK(w.intern({}) == label_sets::none);
  CHECK(w.sets.of(label_sets::none).empty());
  const std::vector<std::vector<label>> sets{
      {{"lock", "orders"}},
      {{"lock", "order"}},
      {{"lockorders", ""}},
      {{"lock", ""}},
      {{"a", "1"}, {"b", "2"}},
      {{"a", "1"}, {"b", "3"}},
      {{"a", "12"}},
      {{"a", "a text that is longer than one word, and so is hashed in several"}},
      {{"a", "a text that is longer than one word, and so is hashed in severaL"}},
  };
  std::set<std::uint32_t> ids{label_sets::none};
  for (const auto& labels : sets) ids.insert(w.intern(labels));
  CHECK(ids.size() == sets.size() + 1);
  for (const auto& labels : sets) CHECK(of(w.sets, w.intern(labels)) == labels);
  CHECK(w.lost.any() == false);
}

TEST_CASE("texts are copied, and end in a zero byte") {
  workplace w;
  std::uint32_t id = 0;
  {
    const std::string key = "key", value = "value";
    id = w.intern({{key, value}});
  }
  const label l = w.sets.of(id)[0];
  CHECK(std::string(l.key.data()) == "key");
  CHECK(std::string(l.value.data()) == "value");
}

TEST_CASE("beyond a program's limit of sets, and without memory, labels are [overflow]") {
  workplace w;
  const auto intern = [&w](std::uint32_t i) {
    const std::string key = "request " + std::to_string(i % 100), value = std::to_string(i);
    return w.intern({{key, value}});
  };
  for (std::uint32_t i = 1; i <= label_sets::most_of_program; ++i) REQUIRE(intern(i) == i);
  CHECK(w.intern({{"one", "more"}}) == label_sets::overflow);
  CHECK(w.lost.of(tables::loss::labels) == 1);
  CHECK(of(w.sets, label_sets::overflow) == std::vector<label>{{"labels", "[overflow]"}});
  CHECK(intern(77) == 77);
  CHECK(of(w.sets, 61439) == std::vector<label>{{"request 39", "61439"}});

  // The library's own labels still have room.
  const auto intern_own = [&w](const label& one) {
    return w.sets.intern({&one, 1}, label_sets::most);
  };
  CHECK(intern_own({"lock", "orders"}) == label_sets::most_of_program + 1);
  CHECK(w.intern({{"lock", "orders"}}) == label_sets::most_of_program + 1);
  for (std::uint32_t i = 2; i <= label_sets::most_own; ++i) {
    const std::string value = std::to_string(i);
    REQUIRE(intern_own({"lock", value}) == label_sets::most_of_program + i);
  }
  CHECK(intern_own({"wait", "one more"}) == label_sets::overflow);

  workplace poor;
  poor.budget.set_limit(0);
  CHECK(poor.intern({{"a", "b"}}) == label_sets::overflow);
  CHECK(poor.budget.used() == 0);
  const label own{"lock", "orders"};
  CHECK(of(poor.sets, poor.sets.intern({&own, 1}, label_sets::most)) == std::vector<label>{own});
}

TEST_CASE("a key with too many values has [other] for new ones, and other keys have their own") {
  workplace w;
  const auto intern = [&w](std::size_t i) {
    const std::string value = std::to_string(i);
    return w.intern({{"request", value}, {"tenant", i % 2 == 0 ? "even" : "odd"}});
  };
  for (std::size_t i = 0; i < label_sets::most_values; ++i) {
    REQUIRE(of(w.sets, intern(i))[0].value == std::to_string(i));
  }
  const std::size_t used = w.budget.used();
  for (std::size_t i = 0; i < 10'000; ++i) {
    const std::vector<label> beyond = of(w.sets, intern(label_sets::most_values + i));
    REQUIRE(beyond ==
            std::vector<label>{{"request", "[other]"}, {"tenant", i % 2 == 0 ? "even" : "odd"}});
  }
  CHECK(w.budget.used() - used < 1024);
  CHECK(of(w.sets, intern(5))[0].value == "5");
  CHECK(of(w.sets, w.intern({{"route", "/new"}, {"tenant", "acme"}})) ==
        std::vector<label>{{"route", "/new"}, {"tenant", "acme"}});
  CHECK(of(w.sets, w.intern({{"request", "[other]"}})) ==
        std::vector<label>{{"request", "[other]"}});
  CHECK_FALSE(w.lost.any());
  std::vector<std::string> full;
  w.sets.for_each_full_key([&full](std::string_view key) { full.emplace_back(key); });
  CHECK(full == std::vector<std::string>{"request"});
}

TEST_CASE("a long text is cut, between two characters, and counts as what is kept") {
  workplace w;
  const std::string head(label_sets::longest_text - 1, 'a');
  const std::uint32_t id = w.intern({{head + "aXY", head + "\u00e4X"}});
  CHECK(of(w.sets, id) == std::vector<label>{{head + "a", head}});
  CHECK(w.intern({{head + "aZ", head + "\u00f6"}}) == id);
  const std::string exact = head + "b";
  CHECK(of(w.sets, w.intern({{"k", exact}}))[0].value == exact);
}

TEST_CASE("what is refused makes no thread wait for a lock") {
  workplace w;
  for (std::size_t i = 0; i <= label_sets::most_values; ++i) {
    const std::string value = std::to_string(i);
    REQUIRE(w.intern({{"request", value}}) != label_sets::overflow);
  }
  const sys::guard held(w.sets.lock());
  CHECK(of(w.sets, w.intern({{"request", "beyond"}}))[0].value == "[other]");
  w.budget.set_limit(0);
  CHECK(w.intern({{"route", "/new"}}) == label_sets::overflow);
}

// Invariant: each thread that interns a set gets the same number, and can read the set at once.
TEST_CASE("threads that intern the same sets agree on their numbers") {
  workplace w;
  constexpr int sets = 500;
  std::vector<std::vector<std::uint32_t>> seen(4, std::vector<std::uint32_t>(sets));
  std::vector<std::thread> threads;
  for (auto& mine : seen) {
    threads.emplace_back([&w, &mine] {
      for (int i = 0; i < sets; ++i) {
        const std::string value = std::to_string(i);
        const std::vector<label> labels{{"i", value}};
        mine[static_cast<std::size_t>(i)] = w.intern(labels);
        if (of(w.sets, mine[static_cast<std::size_t>(i)]) != labels) mine[0] = 0;
      }
    });
  }
  for (auto& t : threads) t.join();
  for (const auto& mine : seen) CHECK(mine == seen[0]);
  CHECK(std::set<std::uint32_t>(seen[0].begin(), seen[0].end()).size() == sets);
}
