// SPDX-License-Identifier: Apache-2.0
//
// The file at a module's path is not always the module. Names are right or missing, but never
// another build's, in whatever way the file was replaced.
#include <whence/config.hpp>

#include <dlfcn.h>
#include <doctest/doctest.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>
#include <vector>

#include "support/temp_dir.hpp"
#include "support/text.hpp"
#include <whence/symbols/module_file.hpp>
#include <whence/symbols/symbolizer.hpp>

using namespace whence;
using whence_tests::has;
using whence_tests::temp_dir;

namespace {

// A function that is exported, and one that only .symtab names.
std::string source(const std::string& name) {
  return "[[gnu::noinline]] static int hidden_" + name +
         "(int n) { asm(\"\"); return n + 1; }\n"
         "extern \"C\" { int (*volatile hidden_one)(int) = hidden_" +
         name + "; [[gnu::noinline]] int exported_" + name +
         "(int n) { asm(\"\"); return n + 2; } }\n";
}

void build(const temp_dir& shop, const std::string& name, const std::string& flags) {
  shop.write(name + ".cpp", source(name));
  shop.run(temp_dir::compiler() + " -O1 -shared -fPIC " + flags + " " + name + ".cpp -o " + name +
           ".so");
}

class library {
 public:
  explicit library(const std::string& path) : handle_(::dlopen(path.c_str(), RTLD_NOW)) {
    REQUIRE_MESSAGE(handle_ != nullptr, ::dlerror());
  }
  ~library() { ::dlclose(handle_); }
  library(const library&) = delete;
  library& operator=(const library&) = delete;

  std::uintptr_t exported(const char* name) const {
    return reinterpret_cast<std::uintptr_t>(::dlsym(handle_, name));
  }
  std::uintptr_t hidden() const {
    return reinterpret_cast<std::uintptr_t>(
        *static_cast<int (**)(int)>(::dlsym(handle_, "hidden_one")));
  }

 private:
  void* handle_;
};

struct names {
  std::string exported, hidden, notes;
  bool is_stripped;
};

names names_in(const library& l, const char* exported) {
  symbols::symbolizer fresh;
  const symbols::symbolizer::reading open(fresh);
  names n{std::string(fresh.resolve(l.exported(exported)).frames.back().name),
          std::string(fresh.resolve(l.hidden()).frames.back().name),
          {},
          fresh.resolve(l.hidden()).is_stripped};
  for (const std::string& note : fresh.notes()) n.notes += note + "\n";
  return n;
}

// The kernel gives the file itself, under any name, to processes that may ptrace.
bool is_known_or_none(const std::string& name, const char* known) {
  return name.find(known) != name.npos || name.starts_with("[");
}

}  // namespace

TEST_CASE(
    "a library that was replaced keeps its exported names, and gets none of the other build") {
  for (const char* id : {"-Wl,--build-id=sha1", "-Wl,--build-id=none"}) {
    CAPTURE(id);
    const temp_dir shop;
    build(shop, "old", id);
    build(shop, "new", id);
    shop.run("cp old.so lib.so");
    const library l(shop.path("lib.so"));
    const names before = names_in(l, "exported_old");
    CHECK(before.exported == "exported_old");
    CHECK(has(before.hidden, "hidden_old"));
    shop.run("mv new.so lib.so");
    const names after = names_in(l, "exported_old");
    CHECK(after.exported == "exported_old");
    CHECK(is_known_or_none(after.hidden, "hidden_old"));
    CHECK((after.hidden.starts_with("[lib.so+0x") ==
           has(after.notes, "lib.so: its file is another build; exported functions")));
  }
}

TEST_CASE(
    "exported functions have names without a file: unlinked, or from a memfd that is closed") {
  for (const char* style : {"gnu", "sysv", "both"}) {
    CAPTURE(style);
    const temp_dir shop;
    build(shop, "gone", std::string("-Wl,--hash-style=") + style);
    {
      const library l(shop.path("gone.so"));
      shop.run("cp gone.so kept.so && rm gone.so");
      const names n = names_in(l, "exported_gone");
      CHECK(n.exported == "exported_gone");
      CHECK(is_known_or_none(n.hidden, "hidden_gone"));
      CHECK((n.hidden.starts_with("[gone.so+0x") == has(n.notes, "its file is gone; exported")));
    }
    const std::string bytes = whence_tests::text_of(shop / "kept.so");
    const int memory = ::memfd_create("gone", MFD_CLOEXEC);
    REQUIRE(::write(memory, bytes.data(), bytes.size()) == static_cast<ssize_t>(bytes.size()));
    const library l("/proc/self/fd/" + std::to_string(memory));
    ::close(memory);
    CHECK(names_in(l, "exported_gone").exported == "exported_gone");
  }
}

TEST_CASE("a debug file of another build is refused in any folder; one in a cache is used") {
  const temp_dir shop;
  build(shop, "real", "-g -Wl,--build-id=sha1");
  build(shop, "other", "-g -Wl,--build-id=sha1");
  shop.run(
      "for b in real other; do objcopy --only-keep-debug $b.so $b.debug; done && mkdir .debug && "
      "cp other.debug lib.debug && cp real.so lib.so && strip lib.so && "
      "objcopy --add-gnu-debuglink=lib.debug lib.so && mv lib.debug .debug/");
  const library l(shop.path("lib.so"));
  ::setenv("DEBUGINFOD_CACHE_PATH", shop.path("cache").c_str(), 1);
  const names alone = names_in(l, "exported_real");
  CHECK(alone.exported == "exported_real");
  CHECK(alone.hidden.starts_with("[lib.so+0x"));
  CHECK(alone.is_stripped);
  shop.run(
      "id=$(readelf -n real.so | sed -n 's/.*Build ID: //p') && mkdir -p cache/$id && "
      "cp other.debug cache/$id/debuginfo");
  CHECK(names_in(l, "exported_real").hidden.starts_with("[lib.so+0x"));
  shop.run("cp real.debug cache/*/debuginfo");
  const names cached = names_in(l, "exported_real");
  CHECK(has(cached.hidden, "hidden_real"));
  CHECK_FALSE(cached.is_stripped);
  ::unsetenv("DEBUGINFOD_CACHE_PATH");
}

TEST_CASE("a truncated, damaged or missing file names nothing") {
  const temp_dir shop;
  build(shop, "whole", "-Wl,--build-id=sha1");
  shop.run("cp whole.so lib.so");
  const library l(shop.path("lib.so"));
  // (A new file each time: the loader has the old one mapped.)
  for (const char* damage :
       {"head -c 4096 whole.so > t", "head -c 63 whole.so > t", ": > t", "mkfifo t",
        "cp whole.so t && printf 'xxxxxxxx' | dd of=t bs=1 seek=40 conv=notrunc status=none",
        "mkdir t && rm lib.so"}) {
    CAPTURE(damage);
    shop.run(std::string("rm -rf t && ") + damage + " && mv -T t lib.so");
    const names n = names_in(l, "exported_whole");
    CHECK(n.exported == "exported_whole");
    CHECK(is_known_or_none(n.hidden, "hidden_whole"));
    shop.run("rm -rf lib.so && cp whole.so lib.so");
  }
}

// The kernel and the loader know the program's file; /proc/self/exe is the loader here.
TEST_CASE("a program that is started by the loader has its own names, and comes first") {
  const temp_dir shop;
  shop.write("p.cpp", R"(
#include <cstdio>
#include <string>
#include <whence/symbols/symbolizer.hpp>
[[gnu::noinline]] int own_function(int n) { asm(""); return n; }
int main() {
  whence::symbols::symbolizer names;
  const auto f = names.resolve(reinterpret_cast<std::uintptr_t>(&own_function)).frames.back();
  const auto m = names.mappings();
  std::printf("%s %s\n", std::string(f.name).c_str(), m.empty() ? "" : m[0].filename.c_str());
}
)");
  shop.run(temp_dir::compiler() + " -std=c++20 -I '" WHENCE_INCLUDE_DIR "' p.cpp -o program");
  const std::string expected = "own_function " + shop.path("program") + "\n";
  CHECK(shop.run("./program") == expected);
  CHECK(shop.run("$(readelf -l program | sed -n 's/.*interpreter: \\(.*\\)]/\\1/p') ./program") ==
        expected);
}
