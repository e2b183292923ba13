// SPDX-License-Identifier: Apache-2.0
#include <whence/config.hpp>

#include <dlfcn.h>
#include <doctest/doctest.h>
#include <sys/auxv.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include "support/sanitizers.hpp"
#include "support/temp_dir.hpp"
#include <whence/profile.hpp>
#include <whence/symbols/mappings.hpp>
#include <whence/symbols/symbolizer.hpp>

using namespace whence;
using whence_tests::temp_dir;

namespace {

[[gnu::noinline]] std::uintptr_t here() {
  return reinterpret_cast<std::uintptr_t>(__builtin_return_address(0)) - 1;
}

[[gnu::noinline]] std::uintptr_t in_anonymous_namespace() {
  const std::uintptr_t pc = here();
  asm volatile("# nor this one");
  return pc;
}

template <class T>
struct box {
  [[gnu::noinline]] static std::uintptr_t in_template(T) {
    const std::uintptr_t pc = here();
    asm volatile("# not folded with the functions that do the same");
    return pc;
  }
};

[[gnu::always_inline]] inline std::uintptr_t inner_inlined() {
  const std::uintptr_t pc = here();
  asm volatile("");
  return pc;
}
[[gnu::always_inline]] inline std::uintptr_t outer_inlined() {
  return inner_inlined();
}
[[gnu::noinline]] std::uintptr_t with_inlined() {
  const std::uintptr_t pc = outer_inlined();
  asm volatile("");
  return pc;
}

// lldiv, which no sanitizer replaces.
std::uintptr_t libc_function() {
  return reinterpret_cast<std::uintptr_t>(::dlsym(RTLD_DEFAULT, "lldiv"));
}

const symbols::location& resolve(std::uintptr_t pc) {
  return symbols::symbolizer::instance().resolve(pc);
}

}  // namespace

static std::uintptr_t in_static_function() {
  const std::uintptr_t pc = here();
  asm volatile("");
  return pc;
}

TEST_CASE("functions of every kind have a short name, and the mangled one beside it") {
  std::uintptr_t (*volatile call)() = &in_static_function;
  const symbols::frame f = resolve(call()).frames.back();
  CHECK(f.name == "in_static_function");
  CHECK(f.system_name == "_ZL18in_static_functionv");
  CHECK(resolve(in_anonymous_namespace()).frames.back().name ==
        "(anonymous namespace)::in_anonymous_namespace");
  const symbols::frame in_template = resolve(box<long>::in_template(1)).frames.back();
  CHECK(in_template.name == "(anonymous namespace)::box::in_template");
  CHECK(symbols::name_of(in_template, name_style::templates) ==
        "(anonymous namespace)::box<long>::in_template");
  CHECK(symbols::name_of(in_template, name_style::full)
            .starts_with("(anonymous namespace)::box<long>::in_template(long)"));
  CHECK(symbols::name_of(in_template, name_style::mangled) == in_template.system_name);
  const auto lambda = [] {
    const std::uintptr_t pc = here();
    asm volatile("");
    return pc;
  };
  std::uintptr_t (*volatile call_lambda)() = lambda;
  const std::string_view name = resolve(call_lambda()).frames.back().name;
  // GCC's name of a lambda, and clang's.
  const bool lambda_named =
      name.find("lambda") != std::string_view::npos || name.find("$_") != std::string_view::npos;
  CHECK(lambda_named);
  CHECK(resolve(libc_function() + 1).frames.back().name == "lldiv");
}

TEST_CASE("a location says where its function starts") {
  std::uintptr_t (*volatile call)() = &in_static_function;
  CHECK(resolve(call()).function_start == reinterpret_cast<std::uintptr_t>(&in_static_function));
}

TEST_CASE("inlined frames are there innermost first, with the files and lines addr2line shows") {
  if (!config::with_libdw) return;
  const std::uintptr_t pc = with_inlined();
  const auto frames = resolve(pc).frames;
  std::uintptr_t bias = 0;
  for (const symbols::loaded_module& m : symbols::loaded_modules()) {
    if (m.holds(pc)) bias = m.bias;
  }
  const temp_dir shop;
  std::ostringstream command;
  command << "addr2line -ifC -e /proc/" << ::getpid() << "/exe 0x" << std::hex << pc - bias;
  std::istringstream expected(shop.run(command.str()));
  std::size_t i = 0;
  for (std::string name, where; std::getline(expected, name) && std::getline(expected, where);
       ++i) {
    REQUIRE(i < frames.size());
    CAPTURE(where);
    const std::string got = std::string(frames[i].file) + ":" + std::to_string(frames[i].line);
    CHECK(where.substr(0, where.find(" (")) == got);
  }
  // Names are not compared: addr2line gives the innermost frame the name of the surrounding symbol.
  CHECK(i == frames.size());
  REQUIRE(i == 3);
  const auto names = [&frames](std::size_t n, const char* part) {
    return frames[n].name.find(part) != std::string_view::npos;
  };
  CHECK(names(0, "inner_inlined"));
  CHECK(names(1, "outer_inlined"));
  CHECK(names(2, "with_inlined"));
}

TEST_CASE("code without a symbol is named by its module and offset, or [unknown]") {
  CHECK(resolve(5000).frames.back().name == "[unknown]");
  // The ELF header of the C library: in the module, in no function; not executable either.
  Dl_info info{};
  REQUIRE(::dladdr(reinterpret_cast<const void*>(libc_function()), &info) != 0);
  const auto base = reinterpret_cast<std::uintptr_t>(info.dli_fbase);
  CHECK(resolve(base + 16).frames.back().name == "[unknown]");
  for (const symbols::mapping& m : symbols::read_mappings()) {
    for (std::uintptr_t pc = m.start; pc < m.limit; pc += (m.limit - m.start) / 50 + 1) {
      const auto frames = resolve(pc).frames;
      REQUIRE_FALSE(frames.empty());
      for (const symbols::frame& f : frames) {
        REQUIRE_FALSE(f.name.empty());
        REQUIRE_FALSE(f.system_name.empty());
      }
    }
  }
}

TEST_CASE("code in the vDSO has a name") {
  const std::uintptr_t vdso = ::getauxval(AT_SYSINFO_EHDR);
  if (vdso == 0) return;
  const auto mappings = symbols::read_mappings();
  const auto m = std::find_if(mappings.begin(), mappings.end(),
                              [](const auto& x) { return x.filename == "[vdso]"; });
  REQUIRE(m != mappings.end());
  bool named = false;
  for (std::uintptr_t pc = m->start; pc < m->limit; pc += 16) {
    named |= resolve(pc).frames.back().name.find("clock_gettime") != std::string_view::npos;
  }
  CHECK(named);
}

TEST_CASE("mappings are those of /proc/self/maps, with the build-ids readelf prints") {
  const auto mappings = symbols::parse_maps(
      "00400000-00401000 r--p 00000000 fe:00 1 /bin/a b\n"
      "00401000-00402000 r-xp 00001000 fe:00 1                  /bin/a b (deleted)\n"
      "00500000-00501000 rwxp 00000000 00:00 0 \n"
      "7ffd-7fff r-xp 00000000 00:00 0                          [vdso]\n");
  REQUIRE(mappings.size() == 2);
  CHECK(mappings[0].start == 0x401000);
  CHECK(mappings[0].limit == 0x402000);
  CHECK(mappings[0].offset == 0x1000);
  CHECK(mappings[0].filename == "/bin/a b");
  CHECK(mappings[1].filename == "[vdso]");

  const temp_dir shop;
  int compared = 0;
  for (const symbols::mapping& m : symbols::read_mappings()) {
    if (m.filename.find("libc.so") == std::string::npos) continue;
    CHECK(m.build_id + "\n" ==
          shop.run("readelf -n '" + m.filename + "' | sed -n 's/.*Build ID: //p'"));
    ++compared;
  }
  CHECK(compared == 1);
}

// One library replaces another. Earlier answers stay valid for callers that hold them, and later
// calls give the second library's names.
TEST_CASE("an unloaded library keeps its names until another one is loaded there") {
  const temp_dir shop;
  for (const char* name : {"first", "second"}) {
    shop.write(std::string(name) + ".cpp", "extern \"C\" [[gnu::noinline]] int " +
                                               std::string(name) +
                                               "_function(int n) { return n + 1; }\n");
    shop.run(temp_dir::compiler() + " -O1 -g -shared -fPIC " + name + ".cpp -o " + name + ".so");
  }
  const auto load = [&](const std::string& name) {
    void* const library = ::dlopen(shop.path(name + ".so").c_str(), RTLD_NOW);
    REQUIRE(library != nullptr);
    return library;
  };
  const auto address = [](void* library, const char* name) {
    return reinterpret_cast<std::uintptr_t>(::dlsym(library, name));
  };
  void* library = load("first");
  const std::uintptr_t pc = address(library, "first_function");
  const symbols::location& held = resolve(pc);
  CHECK(held.frames.back().name == "first_function");
  ::dlclose(library);
  CHECK(&resolve(pc) == &held);
  CHECK(resolve(pc + 1).frames.back().name == "first_function");  // not asked for while loaded

  // The second one takes the first one's place if nothing else is mapped in between.
  std::uintptr_t before = 0;
  std::uintptr_t there = 1;
  for (int attempt = 0; attempt < 20 && there != before; ++attempt) {
    library = load("first");
    before = address(library, "first_function");
    CHECK(resolve(before).frames.back().name == "first_function");
    ::dlclose(library);
    library = load("second");
    there = address(library, "second_function");
    CHECK(resolve(there).frames.back().name == "second_function");
    if (there != before) ::dlclose(library);
  }
  REQUIRE(there == before);
  ::dlclose(library);
  // Both are gone from that place: the last one there is meant.
  CHECK(resolve(there).frames.back().name == "second_function");
  CHECK(resolve(there + 1).frames.back().name == "second_function");
  CHECK(held.frames.back().name == "first_function");
}

TEST_CASE("a library loaded by a relative name has names after the program changed its folder") {
  const temp_dir shop;
  shop.write("r.cpp",
             "static int hidden(int n) { return n + 1; }\n"
             "extern \"C\" { int (*volatile relative_call)(int) = hidden; }\n");
  shop.run(temp_dir::compiler() + " -O1 -shared -fPIC r.cpp -o r.so");
  const std::filesystem::path before = std::filesystem::current_path();
  std::filesystem::current_path(shop.path(""));
  void* const library = ::dlopen("./r.so", RTLD_NOW);
  std::filesystem::current_path(before);
  REQUIRE(library != nullptr);
  auto* const call = static_cast<int (**)(int)>(::dlsym(library, "relative_call"));
  CHECK(resolve(reinterpret_cast<std::uintptr_t>(*call)).frames.back().name == "hidden");
  ::dlclose(library);
}

TEST_CASE("a forked child finds names while another thread of the parent was looking for some") {
  if (sanitized) return;  // its runtime's own locks do not survive such a fork
  (void)lookup("heap");   // registers the library's fork handlers
  std::atomic<bool> stop{false};
  std::thread busy([&stop] {
    for (std::uintptr_t i = 0; !stop; ++i) (void)resolve(libc_function() + i % 64);
  });
  for (int i = 0; i < 10; ++i) {
    const pid_t child = ::fork();
    REQUIRE(child >= 0);
    if (child == 0) {
      ::alarm(20);  // a lock that is never released would end here
      const bool found = resolve(libc_function()).frames.back().name == "lldiv";
      ::_exit(found ? 0 : 1);
    }
    int status = -1;
    REQUIRE(::waitpid(child, &status, 0) == child);
    CHECK(status == 0);
  }
  stop = true;
  busy.join();
}

TEST_CASE("threads may ask at once, and get the same answer") {
  const std::uintptr_t pc = with_inlined();
  std::vector<const symbols::location*> answers(4);
  std::vector<std::thread> pool;
  for (auto& answer : answers) {
    pool.emplace_back([&answer, pc] {
      for (std::uintptr_t i = 0; i < 200; ++i) {
        (void)resolve(libc_function() + i);
      }
      answer = &resolve(pc);
    });
  }
  for (auto& thread : pool) thread.join();
  for (const auto* answer : answers) CHECK(answer == answers[0]);
}
