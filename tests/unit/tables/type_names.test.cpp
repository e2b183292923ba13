// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include <set>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include <whence/tables/type_names.hpp>

using namespace whence;
using tables::type_names;

namespace {

struct workplace {
  sys::memory_budget budget{std::size_t{256} << 20};
  sys::arena arena{budget};
  tables::losses lost;
  type_names names{arena, lost};
};

}  // namespace

TEST_CASE("equal texts have one name, a copy; different texts have different names") {
  workplace w;
  std::string one = "shop::order", same = one, other = "shop::orders";
  const char* const kept = w.names.intern(one.c_str());
  CHECK(w.names.intern(same.c_str()) == kept);
  CHECK(w.names.intern(other.c_str()) != kept);
  CHECK(kept != one.c_str());
  one.assign(one.size(), '?');
  CHECK(std::string_view(kept) == "shop::order");
  CHECK(w.names.intern(nullptr) == nullptr);
  CHECK(std::string_view(w.names.intern("")).empty());
  CHECK_FALSE(w.lost.any());
}

TEST_CASE("names with one spelling are one, from any compiler") {
  workplace w;
  const char* const by_gcc = w.names.intern("std::__cxx11::list<int*>");
  CHECK(w.names.intern("std::list<int *>") == by_gcc);
  CHECK(w.names.intern("std::list<int*>") == by_gcc);
  CHECK(std::string_view(by_gcc) == "std::list<int*>");
}

TEST_CASE("beyond the limit, and without memory, names are [overflow] and counted") {
  workplace w;
  for (std::size_t i = 0; i < type_names::most; ++i) {
    const std::string text = "t" + std::to_string(i);
    REQUIRE(w.names.intern(text.c_str()) == text);
  }
  CHECK(std::string_view(w.names.intern("one more")) == "[overflow]");
  CHECK(w.lost.of(tables::loss::types) == 1);
  CHECK(std::string_view(w.names.intern("t77")) == "t77");

  workplace poor;
  poor.budget.set_limit(0);
  CHECK(std::string_view(poor.names.intern("a")) == "[overflow]");
}

TEST_CASE("a text of any length is cut, not overrun") {
  workplace w;
  const std::string longer(std::size_t{70} << 10, 'x');
  CHECK(std::string_view(w.names.intern(longer.c_str())).size() == type_names::longest);
  std::string anonymous;
  while (anonymous.size() < type_names::longest) anonymous += "{anonymous}";
  CHECK(std::string_view(w.names.intern(anonymous.c_str())).starts_with("(anonymous namespace)("));
}

// Invariant: each thread that asks for a name gets the same pointer, and can read the name at once.
TEST_CASE("threads that ask for the same names agree on their pointers") {
  workplace w;
  constexpr std::size_t count = 500;
  std::vector<std::vector<const char*>> seen(4, std::vector<const char*>(count));
  std::vector<std::thread> threads;
  for (auto& mine : seen) {
    threads.emplace_back([&w, &mine] {
      for (std::size_t i = 0; i < count; ++i) {
        const std::string text = "std::__cxx11::t<" + std::to_string(i) + " *>";
        mine[i] = w.names.intern(text.c_str());
        if (mine[i] != "std::t<" + std::to_string(i) + "*>") mine[0] = nullptr;
      }
    });
  }
  for (auto& t : threads) t.join();
  for (const auto& mine : seen) CHECK(mine == seen[0]);
  CHECK(std::set<const char*>(seen[0].begin(), seen[0].end()).size() == count);
}
