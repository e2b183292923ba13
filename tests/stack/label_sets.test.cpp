// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include <set>
#include <string>
#include <thread>
#include <vector>

#include <whence/stack/label_sets.hpp>

using namespace whence;
using stack::label;
using stack::label_sets;

namespace {

struct workplace {
  sys::memory_budget budget{std::size_t{256} << 20};
  sys::arena arena{budget};
  stack::losses lost;
  label_sets sets{arena, lost};

  std::uint32_t intern(const std::vector<label>& labels) {
    return sets.intern({labels.data(), labels.size()});
  }
};

std::vector<label> of(const label_sets& sets, std::uint32_t id) {
  const stack::label_list list = sets.of(id);
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

TEST_CASE("beyond a program's limit, and without memory, labels are [overflow]") {
  workplace w;
  for (std::uint32_t i = 1; i <= label_sets::most_of_program; ++i) {
    const std::string value = std::to_string(i);
    REQUIRE(w.intern({{"request", value}}) == i);
  }
  CHECK(w.intern({{"request", "one more"}}) == label_sets::overflow);
  CHECK(w.lost.of(stack::loss::labels) == 1);
  CHECK(of(w.sets, label_sets::overflow) == std::vector<label>{{"labels", "[overflow]"}});
  CHECK(w.intern({{"request", "77"}}) == 77);
  CHECK(of(w.sets, 61439) == std::vector<label>{{"request", "61439"}});

  // The library's own labels still have room.
  const auto intern_own = [&w](const label& one) {
    return w.sets.intern({&one, 1}, label_sets::most);
  };
  CHECK(intern_own({"lock", "orders"}) == label_sets::most_of_program + 1);
  CHECK(w.intern({{"lock", "orders"}}) == label_sets::most_of_program + 1);
  for (std::uint32_t i = 2; i <= label_sets::most - label_sets::most_of_program; ++i) {
    const std::string value = std::to_string(i);
    REQUIRE(intern_own({"lock", value}) == label_sets::most_of_program + i);
  }
  CHECK(intern_own({"lock", "one more"}) == label_sets::overflow);

  workplace poor;
  poor.budget.set_limit(0);
  CHECK(poor.intern({{"a", "b"}}) == label_sets::overflow);
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
