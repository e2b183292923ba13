// SPDX-License-Identifier: Apache-2.0
#include <dlfcn.h>
#include <doctest/doctest.h>

#include <cstdint>
#include <list>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "support/heap_probe.hpp"
#include "support/temp_dir.hpp"
#include <whence/allocator.hpp>
#include <whence/core/counters.hpp>
#include <whence/labels.hpp>
#include <whence/memory_resource.hpp>
#include <whence/profile.hpp>
#include <whence/record/event.hpp>
#include <whence/snapshots/difference.hpp>
#include <whence/state/attach.hpp>
#include <whence/state/process_state.hpp>

using namespace whence;
using whence_tests::heap_rate;
using whence_tests::temp_dir;

namespace heap_test {
struct order {
  int number;
};
struct line {
  int number;
};
static_assert(sizeof(order) == sizeof(line));
}  // namespace heap_test

namespace {

std::multiset<std::string> types_of(const profile& p) {
  std::multiset<std::string> types;
  for (const profile_row& row : p.snapshot().rows) types.emplace(row.type);
  return types;
}

std::string text_of(const profile& p) {
  std::string text;
  REQUIRE_FALSE(p.write_to(text, 1));
  return text;
}

}  // namespace

TEST_CASE("a row has the allocated type: elements, nodes, but not for a resource") {
  using own = prefixed_registry<"record.types">;
  const heap_rate every(1);
  const std::vector<heap_test::order, tracking_allocator<heap_test::order, own>> v(3);
  const std::list<heap_test::line, tracking_allocator<heap_test::line, own>> l(1);
  basic_tracking_resource<own> resource;
  std::pmr::vector<char> bytes(100, &resource);
  const std::multiset<std::string> expected{"", "heap_test::order",
                                            "std::_List_node<heap_test::line>"};
  CHECK(types_of(own::heap()) == expected);
}

TEST_CASE("two types at one stack are two rows at all rates, also in windows") {
  using own = prefixed_registry<"record.two">;
  const heap_rate every(1);
  state::process_state& s = state::attached();
  profile_snapshot earlier;
  // One call site. A second rate doubles the buckets, but adds no rows.
  for (const std::int64_t rate : {1, 2}) {
    earlier = own::heap().snapshot();
    for (const char* type : {"order", "line", static_cast<const char*>(nullptr)}) {
      tables::bucket* const b = record::record_stack(
          s, own::heap().rows(), {.number = 4, .rate = rate, .type = s.types.intern(type)},
          __builtin_return_address(0));
      REQUIRE(b != nullptr);
      core::count_block(*b, 4, core::allocated_counter);
    }
  }
  CHECK(types_of(own::heap()) == std::multiset<std::string>{"", "line", "order"});
  const profile_snapshot later = own::heap().snapshot();
  REQUIRE(later.rows.size() == 3);

  snapshots::baseline before(earlier, {});
  for (profile_row row : later.rows) {
    const std::int64_t all = row.values[0];
    before.subtract_from(row);
    CHECK(row.values[0] == all - 1);
  }
}

TEST_CASE("the type is a label in every form, and the program's own label of that key wins") {
  using own = prefixed_registry<"record.labels">;
  const heap_rate every(1);
  tracking_allocator<heap_test::order, own> a;
  a.deallocate(a.allocate(2), 2);
  const std::string text = text_of(own::heap());
  CHECK(text.find("# labels: {\"type\":\"heap_test::order\"}\n") != std::string::npos);
  {
    const scoped_labels mine{{"type", "mine"}, {"user", "x"}};
    a.deallocate(a.allocate(3), 3);
  }
  CHECK(text_of(own::heap()).find("# labels: {\"type\":\"mine\", \"user\":\"x\"}\n") !=
        std::string::npos);
}

TEST_CASE("a type is known after its plugin is unloaded, which does happen") {
  const temp_dir shop;
  shop.write("plugin.cpp", R"(
#include <whence/allocator.hpp>
namespace plugin { struct thing { char bytes[64]; }; }
using own = whence::prefixed_registry<"record.plugin">;
extern "C" [[gnu::visibility("default")]] void* allocate() { return whence::tracking_allocator<plugin::thing, own>().allocate(1); }
extern "C" [[gnu::visibility("default")]] const char* text() { return whence::instruments::type_text<plugin::thing>::it.text; }
)");
  shop.run(shop.compiler() +
           " -std=c++20 -O1 -fno-rtti -fPIC -fvisibility=hidden -shared -I" WHENCE_INCLUDE_DIR
           " plugin.cpp -o p.so");
  const heap_rate every(1);
  void* const library = ::dlopen(shop.path("p.so").c_str(), RTLD_NOW | RTLD_LOCAL);
  REQUIRE(library != nullptr);
  const char* const text = reinterpret_cast<const char* (*)()>(::dlsym(library, "text"))();
  CHECK(std::string_view(text) == "plugin::thing");
  void* const block = reinterpret_cast<void* (*)()>(::dlsym(library, "allocate"))();
  REQUIRE(block != nullptr);
  ::dlclose(library);
  ::Dl_info gone;
  REQUIRE(::dladdr(text, &gone) == 0);

  using own = prefixed_registry<"record.plugin">;
  CHECK(types_of(own::heap()) == std::multiset<std::string>{"plugin::thing"});
  CHECK(text_of(own::heap()).find("\"type\":\"plugin::thing\"") != std::string::npos);
  tracking_allocator<char, own>().deallocate(static_cast<char*>(block), 64);
}
