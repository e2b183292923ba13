// SPDX-License-Identifier: Apache-2.0
//
// Stacks belong to the build they were taken in: two plugins replace each other, and the stacks of
// each keep its name and build-id, in every form of a profile.
#include <whence/config.hpp>

#include <dlfcn.h>
#include <doctest/doctest.h>

#include <cstddef>
#include <cstdint>
#include <set>
#include <string>
#include <string_view>

#include "support/temp_dir.hpp"
#include "support/text.hpp"
#include <whence/format/process_code.hpp>
#include <whence/profile.hpp>
#include <whence/unwind/modules/unloadable_modules.hpp>

using namespace whence;
using whence_tests::has;
using whence_tests::temp_dir;

namespace {

using entry = void(void (*)(void*), void*);

void build(const temp_dir& shop, const std::string& name) {
  shop.write(name + ".cpp",
             "extern \"C\" [[gnu::noinline]] void " + name +
                 "(void (*call)(void*), void* argument) { call(argument); asm(\"\"); }\n");
  shop.run(temp_dir::compiler() + " -O1 -g -shared -fPIC -Wl,--build-id=sha1 " + name + ".cpp -o " +
           name + ".so");
}

void* load(const temp_dir& shop, const std::string& name) {
  void* const library = ::dlopen(shop.path(name + ".so").c_str(), RTLD_NOW);
  REQUIRE(library != nullptr);
  return library;
}

std::string text_of(profile& p, int debug) {
  std::string text;
  REQUIRE_FALSE(p.write_to(text, debug));
  return text;
}

// The part of a text profile that begins with `row`.
std::string part(const std::string& text, std::string_view row) {
  const std::size_t at = text.find(row);
  return at == text.npos ? "" : text.substr(at, text.find("\n\n", at) - at);
}

}  // namespace

TEST_CASE("an unloaded plugin's stacks keep its name though another one lies at its address") {
  const temp_dir shop;
  build(shop, "plugin_a");
  build(shop, "plugin_b");
  profile& p = new_profile("plugin_keys.place");
  const auto add = [](void* value) { lookup("plugin_keys.place")->add(value); };
  int places[3]{};

  void* a = load(shop, "plugin_a");
  auto* const in_a = reinterpret_cast<entry*>(::dlsym(a, "plugin_a"));
  // Repeated, so that the two rows differ in their counts.
  const volatile int times = 2;
  for (int i = 0; i < times; ++i) in_a(add, &places[i]);
  ::dlclose(a);
  void* b = nullptr;
  entry* in_b = nullptr;
  for (int attempt = 0; attempt < 20 && in_b != in_a; ++attempt) {
    if (b != nullptr) ::dlclose(b);
    b = load(shop, "plugin_b");
    in_b = reinterpret_cast<entry*>(::dlsym(b, "plugin_b"));
  }
  const bool at_same_place = in_b == in_a;
  REQUIRE(at_same_place);
  in_b(add, &places[2]);

  const std::string text = text_of(p, 1);
  CAPTURE(text);
  CHECK(has(part(text, "2 @"), "plugin_a"));
  CHECK_FALSE(has(part(text, "2 @"), "plugin_b"));
  CHECK(has(part(text, "1 @"), "plugin_b"));
  CHECK_FALSE(has(part(text, "1 @"), "plugin_a"));

  // Loaded code has its own address; unloaded code has one where nothing lies.
  const auto address_in = [&text](std::string_view row, std::string_view function) {
    const std::string rows = part(text, row);
    const std::size_t end = rows.find(function);
    return std::stoull(rows.substr(rows.rfind("0x", end)), nullptr, 16);
  };
  const auto entry_of_b = reinterpret_cast<std::uintptr_t>(in_b);
  CHECK(address_in("1 @", "plugin_b") - entry_of_b < 64);
  CHECK(unwind::unloadable_modules::is_plugin_key(address_in("2 @", "plugin_a")));

  // Each has a mapping of its own, and none overlap.
  const format::process_code code;
  std::set<std::string> ids;
  std::uintptr_t before = 0;
  for (const symbols::mapping& m : code.mappings()) {
    if (!unwind::unloadable_modules::is_plugin_key(m.start)) continue;
    ids.insert(m.build_id);
    CHECK(m.limit > m.start);
    CHECK((before == 0 || m.limit <= before || m.start >= before));
    before = m.start;
  }
  CHECK(ids.size() >= 2);
  ::dlclose(b);
  CHECK(has(part(text_of(p, 1), "2 @"), "plugin_a"));
  CHECK(has(part(text_of(p, 1), "1 @"), "plugin_b"));
  for (int& place : places) p.remove(&place);
}

TEST_CASE(
    "a dump of threads names a plugin that is being run, and a plugin loaded again is the same") {
  const temp_dir shop;
  build(shop, "plugin_c");
  profile& p = new_profile("plugin_keys.again");
  const auto dump = [](void* text) {
    (void)lookup("goroutine")->write_to(*static_cast<std::string*>(text), 2);
  };
  const auto add = [](void* value) { lookup("plugin_keys.again")->add(value); };
  int places[2]{};
  for (int& place : places) {
    void* const c = load(shop, "plugin_c");
    auto* const in_c = reinterpret_cast<entry*>(::dlsym(c, "plugin_c"));
    std::string text;
    in_c(dump, &text);
    CHECK(has(text, "plugin_c"));
    in_c(add, &place);
    ::dlclose(c);
  }
  // One build at one place has one record, so one stack.
  if (p.snapshot().rows.size() == 1) CHECK(has(part(text_of(p, 1), "2 @"), "plugin_c"));
  CHECK(p.count() == 2);
  for (int& place : places) p.remove(&place);
}
