// SPDX-License-Identifier: Apache-2.0
//
// Libraries that replace each other: the same code at the same addresses, with frames of other
// sizes.
#include <dlfcn.h>
#include <doctest/doctest.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "../own_unwinder.hpp"
#include "support/temp_dir.hpp"
#include <whence/unwind/capture.hpp>
#include <whence/unwind/modules/permanent_modules.hpp>

using namespace whence;
using whence_tests::temp_dir;

namespace {

constexpr const char* source = R"(
extern "C" [[gnu::visibility("default")]] int call_back(void (*call)(void*), void* argument) {
  volatile char room[FRAME];
  room[0] = 1;
  call(argument);
  return room[0];
}
)";

struct taken {
  std::array<std::uintptr_t, 64> pcs{};
  std::size_t depth = 0;
  unwind::stop_reason end = unwind::stop_reason::enough;
};

[[gnu::noinline]] void take(void* argument) {
  auto& t = *static_cast<taken*>(argument);
  unwind::trace trace{t.pcs.data(), t.pcs.size()};
  t.end = unwind::capture(whence_tests::own_unwinder(), trace, __builtin_return_address(0));
  t.depth = trace.depth;
}

class library {
 public:
  explicit library(const std::string& path) : handle_(::dlopen(path.c_str(), RTLD_NOW)) {
    REQUIRE(handle_ != nullptr);
  }
  ~library() { ::dlclose(handle_); }
  library(const library&) = delete;
  library& operator=(const library&) = delete;

  [[gnu::noinline]] taken through() const {
    taken t;
    using entry = int(void (*)(void*), void*);
    reinterpret_cast<entry*>(::dlsym(handle_, "call_back"))(&take, &t);
    asm volatile("");
    return t;
  }

 private:
  void* handle_;
};

// After the library's own frame both have the same code.
bool ends_alike(const taken& a, const taken& b) {
  if (a.depth != b.depth || a.depth < 3) return false;
  for (std::size_t i = 2; i < a.depth; ++i) {
    if (a.pcs[i] != b.pcs[i]) return false;
  }
  return a.end == unwind::stop_reason::root && b.end == unwind::stop_reason::root;
}

std::vector<std::string> build(const temp_dir& shop, const std::string& flags) {
  shop.write("plugin.cpp", source);
  std::vector<std::string> paths;
  for (const char* bytes : {"64", "1024", "320"}) {
    const std::string name = std::string("plugin") + bytes + ".so";
    shop.run(temp_dir::compiler() + " -O1 -shared -fPIC -DFRAME=" + bytes + " " + flags +
             " plugin.cpp -o " + name);
    paths.push_back(shop.path(name));
  }
  return paths;
}

}  // namespace

TEST_CASE("a library at the address of an unloaded one is walked by its own rules") {
  for (const char* flags : {"-Wl,--build-id", "-Wl,--build-id=none"}) {
    CAPTURE(flags);
    const temp_dir shop;
    const std::vector<std::string> paths = build(shop, flags);
    taken first;
    int same_address = 0;
    for (int round = 0; round < 5; ++round) {
      for (const std::string& path : paths) {
        const library l(path);
        // The second walk uses cached rules.
        for (int time = 0; time < 2; ++time) {
          asm volatile("" : "+r"(time));  // not unrolled: one place that calls
          const taken t = l.through();
          if (first.depth == 0) first = t;
          CHECK(ends_alike(first, t));
          if (t.pcs[0] - first.pcs[0] + 64 < 128) ++same_address;
        }
      }
    }
    CHECK(same_address > 20);
  }
}

TEST_CASE("a library that was walked through is remembered, with path and build-id") {
  const temp_dir shop;
  const std::vector<std::string> paths = build(shop, "-Wl,--build-id=0x0123456789abcdef");
  std::uintptr_t inside = 0;
  {
    const library l(paths[0]);
    inside = l.through().pcs[0];
  }
  bool found = false;
  whence_tests::own_unwinder().loaded().for_each([&](const unwind::unloadable_record& record) {
    if (record.path != paths[0]) return;
    found = true;
    CHECK(record.it.holds(inside));
    CHECK(record.it.where.holds_code(inside));
    REQUIRE(record.it.id_bytes == 8);
    CHECK(record.it.id[0] == 0x01);
    CHECK(record.it.id[7] == 0xef);
  });
  CHECK(found);
  CHECK(whence_tests::own_unwinder().permanent().find(inside) == nullptr);
}

TEST_CASE("the executable and what it needs are permanent, to the last of their bytes") {
  const unwind::permanent_modules& modules = whence_tests::own_unwinder().permanent();
  int lasting = 0;
  sys::for_each_module([&](const dl_phdr_info& info) {
    const unwind::module m = unwind::describe(info);
    const unwind::module* const found = modules.find(m.start);
    const std::string_view name = info.dlpi_name;
    const bool needed = name.empty() || name.find("libc.so") != std::string_view::npos ||
                        name.find("libstdc++") != std::string_view::npos ||
                        name.find("vdso") != std::string_view::npos ||
                        name.find("/ld-linux") != std::string_view::npos;
    if (needed) {
      REQUIRE(found != nullptr);
      CHECK(found->start == m.start);
      CHECK(modules.find(m.end - 1) == found);
      ++lasting;
    }
    return false;
  });
  CHECK(lasting >= 4);
  CHECK(whence_tests::own_unwinder().permanent().find(0) == nullptr);
  CHECK(whence_tests::own_unwinder().permanent().find(~std::uintptr_t{0}) == nullptr);
}
