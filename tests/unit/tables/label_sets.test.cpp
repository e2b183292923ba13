// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include <set>
#include <string>
#include <thread>
#include <vector>

#include <whence/sys/guard.hpp>
#include <whence/sys/mix64.hpp>
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

TEST_CASE("keys leave room for others, and beyond the limits labels are [overflow]") {
  workplace w;
  const auto intern = [&w](std::uint32_t i) {
    const std::string key = "request " + std::to_string(i % 100), value = std::to_string(i);
    return w.intern({{key, value}});
  };
  std::uint32_t made = 0;
  while (made < label_sets::most_of_program && intern(made + 1) == made + 1) ++made;
  CHECK(made > label_sets::most_of_program * 9 / 10);
  CHECK(of(w.sets, intern(made + 1))[0].value == "[other]");
  CHECK_FALSE(w.lost.any());
  CHECK(intern(77) == 77);
  CHECK(of(w.sets, 54321) == std::vector<label>{{"request 21", "54321"}});
  CHECK(of(w.sets, w.intern({{"route", "/new"}})) == std::vector<label>{{"route", "/new"}});

  // The library's own labels have room of their own.
  const auto intern_own = [&w](const label& one) {
    return w.sets.intern({&one, 1}, label_sets::most);
  };
  for (std::uint32_t i = 1; i <= label_sets::most_own; ++i) {
    const std::string value = std::to_string(i);
    REQUIRE(of(w.sets, intern_own({"lock", value})) == std::vector<label>{{"lock", value}});
  }
  CHECK(of(w.sets, intern_own({"lock", "one more"}))[0].value == "[other]");

  workplace poor;
  poor.budget.set_limit(0);
  CHECK(poor.intern({{"a", "b"}}) == label_sets::overflow);
  CHECK(poor.lost.of(tables::loss::labels) == 1);
  CHECK(of(poor.sets, label_sets::overflow) == std::vector<label>{{"labels", "[overflow]"}});
  CHECK(poor.budget.used() == 0);
  const label own{"lock", "orders"};
  CHECK(of(poor.sets, poor.sets.intern({&own, 1}, label_sets::most)) == std::vector<label>{own});
  poor.budget.set_limit(std::size_t{1} << 20);
  CHECK(of(poor.sets, poor.intern({{"a", "b"}})) == std::vector<label>{{"a", "b"}});
}

TEST_CASE("combinations of a few keys leave the labels of others whole") {
  workplace w;
  const auto ask = [&w](std::size_t request, std::size_t tenant, std::string_view phase) {
    const std::string r = std::to_string(request), t = std::to_string(tenant);
    return w.intern({{"phase", phase}, {"request", r}, {"tenant", t}});
  };
  // Each key is within its limit, but there are 1.6 million combinations.
  std::set<std::uint32_t> seen;
  for (std::size_t i = 0; i < 300'000; ++i) {
    const std::uint64_t any = sys::mix64(i + 1);
    const std::uint32_t id = ask(any % 800, (any >> 20) % 500, i % 4 == 0 ? "parse" : "run");
    REQUIRE(id != label_sets::overflow);
    seen.insert(id);
    REQUIRE(of(w.sets, id)[0].value == (i % 4 == 0 ? "parse" : "run"));
  }
  CHECK(seen.size() > 5'000);
  CHECK(seen.size() < label_sets::most_of_program / 2);
  // Those of other keys have room: 100 routes of 40 methods.
  for (int i = 0; i < 4'000; ++i) {
    const std::string route = std::to_string(i % 100), method = std::to_string(i / 100);
    REQUIRE(of(w.sets, w.intern({{"method", method}, {"route", route}})) ==
            std::vector<label>{{"method", method}, {"route", route}});
  }
  CHECK_FALSE(w.lost.any());
  std::set<std::string> replaced;
  w.sets.for_each_replaced_key([&replaced](std::string_view key, bool is_full) {
    CHECK_FALSE(is_full);
    replaced.emplace(key);
  });
  CHECK(replaced.count("request") == 1);
  CHECK(replaced.count("phase") == 0);
}

TEST_CASE("memory is divided as numbers are: long values of one key leave room to others") {
  workplace w;
  w.budget.set_limit(std::size_t{200} << 10);
  for (std::size_t i = 0; i < 5'000; ++i) {
    const std::string value = std::to_string(i) + std::string(100, 'x');
    REQUIRE(w.intern({{"url", value}}) != label_sets::overflow);
  }
  CHECK(w.budget.left() > std::size_t{64} << 10);
  CHECK(of(w.sets, w.intern({{"tenant", "acme"}})) == std::vector<label>{{"tenant", "acme"}});
  CHECK(of(w.sets, w.intern({{"url", "late"}}))[0].value == "[other]");
  w.budget.set_limit(std::size_t{16} << 20);
  CHECK(of(w.sets, w.intern({{"url", "late"}}))[0].value == "late");  // not refused for ever
}

TEST_CASE("the labels that a set does not show are told") {
  workplace w;
  for (std::size_t i = 0; i < label_sets::most_values; ++i) {
    const std::string value = std::to_string(i);
    REQUIRE(w.intern({{"request", value}}) != label_sets::overflow);
  }
  const label asked[]{{"request", "beyond"}, {"tenant", "acme"}};
  int told = 0;
  const std::uint64_t word =
      w.sets.intern({asked, 2}, [&](std::uint32_t id, const tables::replaced_labels& those) {
        ++told;
        CHECK(of(w.sets, id) == std::vector<label>{{"request", "[other]"}, {"tenant", "acme"}});
        REQUIRE(those.size == 1);
        CHECK(*those.items[0].key == "request");
        CHECK(those.items[0].key->data() == w.sets.of(id)[0].key.data());
        CHECK(those.items[0].value == "beyond");
        return std::uint64_t{4711};
      });
  CHECK(told == 1);
  CHECK(word == 4711);
  const label known[]{{"request", "5"}, {"tenant", "acme"}};
  (void)w.sets.intern({known, 2}, [&](std::uint32_t id, const tables::replaced_labels&) {
    ++told;
    return id;
  });
  CHECK(told == 1);
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
  w.sets.for_each_replaced_key([&full](std::string_view key, bool is_full) {
    CHECK(is_full);
    full.emplace_back(key);
  });
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
