// SPDX-License-Identifier: Apache-2.0
//
// The oracle for dropped frames is `go tool pprof`.
#include <doctest/doctest.h>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <regex>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "support/heap_probe.hpp"
#include "tools.hpp"
#include <whence/allocator.hpp>
#include <whence/format/drop_frames.hpp>
#include <whence/format/folded.hpp>
#include <whence/format/json.hpp>
#include <whence/format/profile_writer.hpp>
#include <whence/profile.hpp>

using namespace whence;
using instruments::kind;

namespace {

constexpr kind with_plumbing[] = {kind::heap, kind::allocs, kind::mutex, kind::mutex_hold,
                                  kind::custom};
constexpr kind without[] = {kind::block, kind::goroutine, kind::threadcreate, kind::cpu,
                            kind::wall};

// Applies the pattern as pprof does.
bool pattern_matches(kind k, const std::string& name) {
  return std::regex_match(name, std::regex("^(" + format::drop_frames(k) + ")$"));
}

// The rows of `-top` of one sample of that stack of short names, leaf first: flat, and name.
std::string top_of(kind k, const std::vector<std::string>& names, const std::string& options = "") {
  tools::code code;
  code.mapped = {{0x400000, 0x500000, 0, "/bin/app", ""}};
  std::vector<std::uintptr_t> stack;
  for (const std::string& name : names) {
    const std::uintptr_t pc = 0x400000 + 16 * stack.size();
    code.entries[pc] = {{{name, name, "", 0}}, pc};
    stack.push_back(pc + 1);
  }
  profile_header header;
  header.kind = k;
  header.name = "app.values";
  profile_row row;
  row.stack = stack;
  row.values = {7, 7, 7, 7};
  const whence_tests::temp_dir here;
  sink out(here / "profile.pb");
  format::basic_profile_writer<format::stored, tools::code> writer(out, header, code);
  writer.add(row);
  REQUIRE_FALSE(writer.finish());
  const std::string text = tools::output_of("go tool pprof -top -symbolize=none " + options + " " +
                                            (here / "profile.pb").string() + " 2>/dev/null");
  // The rows below the heading, without percentages.
  const std::size_t table = text.find("cum%\n");
  REQUIRE(table != std::string::npos);
  return std::regex_replace(text.substr(table + 5),
                            std::regex(" *([0-9]+)\\S* +\\S+ +\\S+ +\\S+ +\\S+  ([^\n]*)\n"),
                            "$1 $2\n");
}

const std::vector<std::string> growth{
    "operator new",
    "std::__new_allocator::allocate",
    "std::allocator_traits::allocate",
    "whence::basic_tracking_allocator::allocate",
    "std::allocator_traits::allocate",
    "std::_Vector_base::_M_allocate",
    "std::vector::_M_realloc_insert",
    "std::vector::push_back",
    "shop::add_order",
    "main",
};

}  // namespace

TEST_CASE("the predicate and the pattern agree on every name of the list, and on others") {
  std::vector<std::string> names{"main",
                                 "",
                                 "allocate",
                                 "operator new[]",
                                 "operator newest",
                                 "operator delete",
                                 "mallocate",
                                 "shop::malloc",
                                 "shop::operator new",
                                 "std::allocate",
                                 "std::vector::allocate",
                                 "std::__cxx11::basic_string::_M_create",
                                 "std::basic_string::_M_create",
                                 "std::__1::allocator_traits::allocate",
                                 "std::__detail::_Hashtable_alloc::_M_allocate_buckets",
                                 "std::__detail::_Hashtable_alloc::_M_allocate_node",
                                 "std::shop::allocator_traits::allocate",
                                 "std::_V2::condition_variable_any::_Unlock::_Unlock",
                                 "std::_V2::condition_variable_any::wait",
                                 "xstd::allocator_traits::allocate",
                                 "std::allocator_traits::allocate::x",
                                 "whence::tracked_mutex::unlock_shared",
                                 "whence::tracked_mutex::lock",
                                 "std::lock_guard::lock_guard",
                                 "std::_::unique_lock::unlock",
                                 "std::_"};
  std::size_t in_lists = 0;
  for (const kind k : with_plumbing) {
    for (const format::dropped_names& d : format::dropped_in(k)) {
      for (std::string_view rest = d.names; !rest.empty();) {
        const std::string_view name = rest.substr(0, rest.find('|'));
        rest.remove_prefix(name.size() < rest.size() ? name.size() + 1 : rest.size());
        names.push_back(std::string(d.scope) + std::string(name));
        CHECK(format::is_dropped(k, names.back()));
        ++in_lists;
      }
    }
  }
  CHECK(in_lists > 60);
  for (const std::string& name : growth) names.push_back(name);
  for (const kind k : with_plumbing) {
    for (const std::string& name : names) {
      CAPTURE(name);
      CHECK(format::is_dropped(k, name) == pattern_matches(k, name));
    }
  }
  CHECK(format::is_dropped(kind::heap, "std::__detail::_Hashtable_alloc::_M_allocate_buckets"));
  CHECK(format::is_dropped(kind::mutex, "std::_V2::condition_variable_any::_Unlock::_Unlock"));
  CHECK(format::is_dropped(kind::heap, "std::__cxx11::basic_string::_M_create"));
}

TEST_CASE("pprof drops the same frames by long names, also by those it demangles itself") {
  const std::string allocator = "tracking_allocator<shop::order, std::allocator<shop::order> >";
  for (const char* const own : {"whence::instruments::", "whence::v1::instruments::"}) {
    const std::string a = own + allocator;
    const std::string grow =
        "void std::vector<shop::order, " + a + " >::_M_realloc_insert<int>(int&&)";
    const std::string top = top_of(
        kind::heap, {a + "::allocate(unsigned long)",
                     "std::allocator_traits<" + a + " >::allocate(" + a + "&, unsigned long)",
                     "std::_Vector_base<shop::order, " + a + " >::_M_allocate(unsigned long)", grow,
                     "shop::add_order(shop::order const&)", "main"});
    CHECK(top.starts_with("7 " + grow + "\n"));
    const std::string mutex = "whence::v1::tracked_mutex<std::mutex>";
    CHECK(top_of(kind::mutex,
                 {mutex + "::unlock()", "std::scoped_lock<" + mutex + " >::~scoped_lock()",
                  "shop::price(int)", "main"})
              .starts_with("7 shop::price(int)\n"));
  }
}

TEST_CASE("functions that may run user code are never dropped") {
  for (const char* const name :
       {"std::vector::_M_realloc_insert", "std::vector::emplace_back", "std::vector::_M_allocate",
        "std::construct_at", "std::allocator_traits::construct", "std::_Rb_tree::_M_create_node",
        "std::__detail::_Hashtable_alloc::_M_allocate_node", "std::_Hashtable::_M_rehash",
        "std::__cxx11::list::_M_create_node", "std::make_shared", "std::function::operator()",
        "std::pmr::memory_resource::allocate", "std::sort", "std::call_once",
        "std::condition_variable_any::wait", "std::_V2::condition_variable_any::wait",
        "whence::tracked_condition_variable::wait", "std::unique_lock::lock",
        "shop::order::order"}) {
    CAPTURE(name);
    for (const kind k : with_plumbing) CHECK_FALSE(format::is_dropped(k, name));
  }
}

TEST_CASE("-top begins with the member that was called, and with -hide with the user's function") {
  for (const kind k : {kind::heap, kind::allocs}) {
    CHECK(
        top_of(k, growth) ==
        "7 std::vector::_M_realloc_insert\n0 main\n0 shop::add_order\n0 std::vector::push_back\n");
    CHECK(top_of(k, growth, "-hide='^(std|whence)::'") == "7 shop::add_order\n0 main\n");
  }
}

TEST_CASE("a constructor that allocates inside emplace_back keeps its row") {
  const std::vector<std::string> names{"operator new",
                                       "std::__new_allocator::allocate",
                                       "std::__cxx11::basic_string::_M_create",
                                       "std::__cxx11::basic_string::basic_string",
                                       "shop::order::order",
                                       "std::construct_at",
                                       "std::allocator_traits::construct",
                                       "std::vector::emplace_back",
                                       "shop::add_order"};
  CHECK(top_of(kind::heap, names).starts_with("7 std::__cxx11::basic_string::basic_string\n"));
  CHECK(top_of(kind::heap, names, "-hide='^(std|whence)::'") ==
        "7 shop::order::order\n0 shop::add_order\n");
}

TEST_CASE("lock and custom profiles begin with the user's function, and block with the wait") {
  const std::vector<std::string> unlock{"whence::tracked_mutex::unlock",
                                        "std::lock_guard::~lock_guard", "shop::pay"};
  CHECK(top_of(kind::mutex, unlock) == "7 shop::pay\n");
  CHECK(top_of(kind::mutex_hold, unlock) == "7 shop::pay\n");
  const std::vector<std::string> scoped{"whence::tracked_mutex::unlock", "std::apply",
                                        "std::scoped_lock::~scoped_lock", "shop::pay"};
  CHECK(top_of(kind::mutex, scoped) == "7 shop::pay\n");
  const std::vector<std::string> entry{"whence::tracked::tracked", "shop::session::session"};
  CHECK(top_of(kind::custom, entry) == "7 shop::session::session\n");
  const std::vector<std::string> lock{"whence::tracked_mutex::lock", "std::lock_guard::lock_guard",
                                      "shop::pay"};
  CHECK(top_of(kind::block, lock).starts_with("7 whence::tracked_mutex::lock\n"));
  for (const kind k : without) {
    CHECK(format::drop_frames(k).empty());
    CHECK(format::first_shown(k, unlock, format::library_leaves::are_hidden, std::identity()) == 0);
  }
}

TEST_CASE("our own views begin at the same frame as pprof's table") {
  const auto first = [](kind k, const std::vector<std::string>& names, format::library_leaves how) {
    return names[format::first_shown(k, names, how, std::identity())];
  };
  using format::library_leaves;
  CHECK(first(kind::heap, growth, library_leaves::are_shown) == "std::vector::_M_realloc_insert");
  CHECK(first(kind::heap, growth, library_leaves::are_hidden) == "shop::add_order");
  const auto agree = [&](const std::vector<std::string>& names) {
    CHECK(top_of(kind::heap, names)
              .starts_with("7 " + first(kind::heap, names, library_leaves::are_shown) + "\n"));
  };
  // A match without a caller, or with matches alone around it, stays.
  agree({"malloc"});
  agree({"shop::f", "malloc"});
  agree({"malloc", "shop::f", "malloc"});
  agree({"shop::g", "malloc", "shop::f", "malloc"});
  CHECK(first(kind::heap, {"malloc", "operator new"}, library_leaves::are_hidden) == "malloc");
  // If there are no other frames, the library's own are shown.
  CHECK(first(kind::heap, {"operator new", "std::get_temporary_buffer"},
              library_leaves::are_hidden) == "std::get_temporary_buffer");
  CHECK(first(kind::heap, {"[overflow]"}, library_leaves::are_hidden) == "[overflow]");
}

// Its name is on the list, and is the same with and without parameters. Only this test calls it.
extern "C" [[gnu::noinline]] void* pvalloc(std::size_t n) noexcept {
  using own = prefixed_registry<"drop.frames">;
  char* const p = tracking_allocator<char, own>().allocate(n);
  asm volatile("" : : "r"(p) : "memory");
  return p;
}

TEST_CASE("folded and write_top drop the frames, and JSON says which they are") {
  using own = prefixed_registry<"drop.frames">;
  const whence_tests::heap_rate every(1);
  void* (*volatile allocate)(std::size_t) noexcept = &pvalloc;
  void* const p = allocate(100);
  const profile_snapshot snapshot = own::heap().snapshot();
  REQUIRE(snapshot.rows.size() == 1);

  std::string text;
  sink out(text);
  REQUIRE_FALSE(format::write_folded(out, snapshot, 3, 1 << 20));
  CHECK(text.find("pvalloc") == std::string::npos);
  CHECK(text.find("allocate") == std::string::npos);
  CHECK(text.ends_with(" 100\n"));

  std::string table;
  REQUIRE_FALSE(write_top(table, snapshot));
  CHECK(table.find("pvalloc") == std::string::npos);
  CHECK(table.find("100B 100.0%       100B 100.0%  ") != std::string::npos);

  std::string json;
  sink to(json);
  REQUIRE_FALSE(format::json_writer().write(to, snapshot));
  CHECK(json.find("\"name\":\"pvalloc\"") != std::string::npos);
  CHECK(json.find("\"drop_frames\":\"whence::(v1::)?basic_tracking_allocator(") !=
        std::string::npos);
  CHECK(json.find("\"hide_frames\":\"^(std|") != std::string::npos);
  std::string other;
  sink into(other);
  REQUIRE_FALSE(format::json_writer().write(into, lookup("block")->snapshot()));
  CHECK(other.find("_frames") == std::string::npos);
  tracking_allocator<char, own>().deallocate(static_cast<char*>(p), 100);
}
