// SPDX-License-Identifier: Apache-2.0
//
// What a look-up uses, and that it is released: memory, descriptors, time under locks; and that a
// temporary failure is not remembered.
#include <whence/config.hpp>

#include <dirent.h>
#include <dlfcn.h>
#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstring>
#include <fstream>
#include <memory>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "support/sanitizers.hpp"
#include "support/temp_dir.hpp"
#include "support/text.hpp"
#include <whence/symbols/symbolizer.hpp>
#include <whence/sys/spare_descriptor.hpp>

using namespace whence;
using whence_tests::temp_dir;

namespace {

[[gnu::noinline]] int only_in_symtab(int n) {
  asm volatile("# a name that no dynamic symbol has");
  return n;
}

std::uintptr_t own_code() {
  return reinterpret_cast<std::uintptr_t>(&only_in_symtab);
}

bool named(symbols::symbolizer& names) {
  return names.resolve(own_code()).frames.back().name.find("only_in_symtab") !=
         std::string_view::npos;
}

// A line of /proc/self/status, in KiB.
long status(const char* key) {
  std::ifstream file("/proc/self/status");
  for (std::string line; std::getline(file, line);) {
    if (line.starts_with(key)) return std::stol(line.substr(std::strlen(key) + 1));
  }
  return -1;
}

int open_descriptors() {
  DIR* const folder = ::opendir("/proc/self/fd");
  if (folder == nullptr) return -1;
  int n = 0;
  while (::readdir(folder) != nullptr) ++n;
  ::closedir(folder);
  return n;
}

// Occupies every descriptor below a limit during its lifetime.
class no_descriptors {
 public:
  no_descriptors() {
    REQUIRE(::getrlimit(RLIMIT_NOFILE, &before_) == 0);
    rlimit few = before_;
    few.rlim_cur = 256;
    REQUIRE(::setrlimit(RLIMIT_NOFILE, &few) == 0);
    take_all();
  }
  ~no_descriptors() {
    for (const int d : taken_) ::close(d);
    ::setrlimit(RLIMIT_NOFILE, &before_);
  }
  no_descriptors(const no_descriptors&) = delete;
  no_descriptors& operator=(const no_descriptors&) = delete;

  void take_all() {
    for (int d; (d = ::open("/dev/null", O_RDONLY | O_CLOEXEC)) >= 0;) taken_.push_back(d);
  }

 private:
  rlimit before_{};
  std::vector<int> taken_;
};

}  // namespace

TEST_CASE(
    "there are names without a descriptor, by the spare one; without that, once there are some") {
  // UBSan needs a pipe to look at an object, and takes one it cannot look at for damaged.
  if (sanitized) return;
  sys::spare.refill();
  symbols::symbolizer by_spare;
  symbols::symbolizer names;
  std::string said;
  bool without = true;
  const symbols::location* placeholder = nullptr;
  bool spared = false;
  {
    no_descriptors none;
    spared = named(by_spare);
    REQUIRE(sys::spare.spend());
    none.take_all();
    const symbols::symbolizer::reading open(names);
    without = named(names);
    placeholder = &names.resolve(own_code());
    for (const std::string& note : names.notes()) said += note;
  }
  CHECK(spared);
  CHECK_FALSE(without);
  CHECK(said.find("Too many open files") != said.npos);
  CHECK_FALSE(named(names));  // a second has not passed
  CHECK(&names.resolve(own_code()) == placeholder);
  std::this_thread::sleep_for(std::chrono::milliseconds(1100));
  CHECK(named(names));
  CHECK(placeholder->frames.back().name.starts_with("["));  // still held here
  sys::spare.refill();
}

TEST_CASE("a file that may not be read is asked again") {
  if (::geteuid() == 0) return;  // root may read everything
  const temp_dir shop;
  shop.write("l.cpp",
             "extern \"C\" { static int f(int n) { return n; } int (*volatile p)(int) = f; }");
  shop.run(temp_dir::compiler() + " -shared -fPIC l.cpp -o l.so");
  void* const l = ::dlopen(shop.path("l.so").c_str(), RTLD_NOW);
  REQUIRE(l != nullptr);
  const auto f = reinterpret_cast<std::uintptr_t>(*static_cast<int (**)(int)>(::dlsym(l, "p")));
  symbols::symbolizer names;
  ::chmod(shop.path("l.so").c_str(), 0);
  CHECK(names.resolve(f).frames.back().name.starts_with("[l.so+"));
  ::chmod(shop.path("l.so").c_str(), 0600);
  std::this_thread::sleep_for(std::chrono::milliseconds(1100));
  CHECK(names.resolve(f).frames.back().name.starts_with("f"));
  ::dlclose(l);
}

TEST_CASE("a reading releases its memory and its descriptors") {
  if (sanitized) return;  // their allocators keep what is freed
  const sys::vector<symbols::mapping> code = symbols::read_mappings();
  const auto look = [&code] {
    symbols::symbolizer names;
    const symbols::symbolizer::reading open(names);
    for (const symbols::mapping& m : code) (void)names.resolve(m.start + (m.limit - m.start) / 2);
    CHECK(named(names));
  };
  const int descriptors = open_descriptors();
  const long anonymous = status("RssAnon:");
  const long all = status("VmRSS:");
  look();
  CHECK(status("RssAnon:") <= anonymous + 2048);
  CHECK(status("VmRSS:") <= all + 4096);
  CHECK(open_descriptors() <= descriptors + 1);  // the spare one
}

TEST_CASE("a hundred loaded and unloaded libraries leave nothing behind, and all have names") {
  const temp_dir shop;
  shop.write("l.cpp",
             "static int f(int n) { return n; } extern \"C\" { int (*volatile p)(int) = f; }");
  shop.run(temp_dir::compiler() + " -g -shared -fPIC l.cpp -o l.so");
  symbols::symbolizer names;
  long after_ten = 0;
  int right = 0;
  for (int i = 0; i < 100; ++i) {
    void* const l = ::dlopen(shop.path("l.so").c_str(), RTLD_NOW);
    REQUIRE(l != nullptr);
    const symbols::symbolizer::reading open(names);
    const auto f = reinterpret_cast<std::uintptr_t>(*static_cast<int (**)(int)>(::dlsym(l, "p")));
    const std::string_view name = names.resolve(f).frames.back().name;
    right += name.starts_with("f") && named(names) ? 1 : 0;
    ::dlclose(l);
    if (i == 10) after_ten = status("RssAnon:");
  }
  CHECK(right == 100);
  if (!sanitized) CHECK(status("RssAnon:") <= after_ten + 512);
}

TEST_CASE(
    "three thousand modules have names, with their files and without, and few are open at once") {
  const temp_dir shop;
  shop.write(
      "l.cpp",
      "static int f(int n) { return n; } extern \"C\" { int (*volatile p)(int) = f; int g() { "
      "return 0; } }");
  shop.run(temp_dir::compiler() + " -g -shared -fPIC -Wl,--build-id=0x" + std::string(40, '1') +
           " l.cpp -o l.so");
  std::string library = whence_tests::text_of(shop / "l.so");
  const std::size_t id = library.find(std::string(20, '\x11'));
  REQUIRE(id != std::string::npos);
  const int modules = sanitized ? 100 : 3000;
  std::vector<void*> handles;
  std::vector<std::uintptr_t> functions, exported;
  for (int i = 0; i < modules; ++i) {
    // Each is a build of its own.
    library.replace(id, sizeof i, reinterpret_cast<const char*>(&i), sizeof i);
    const std::string path = shop.path("l" + std::to_string(i) + ".so");
    std::ofstream(path, std::ios::binary) << library;
    void* const l = ::dlopen(path.c_str(), RTLD_NOW);
    REQUIRE(l != nullptr);
    handles.push_back(l);
    functions.push_back(
        reinterpret_cast<std::uintptr_t>(*static_cast<int (**)(int)>(::dlsym(l, "p"))));
    exported.push_back(reinterpret_cast<std::uintptr_t>(::dlsym(l, "g")));
  }
  const int descriptors = open_descriptors();
  const long anonymous = status("RssAnon:");
  for (const bool has_files : {true, false}) {
    if (!has_files) shop.run("rm -f l*.so");
    const long peak = status("VmHWM:");
    symbols::symbolizer names;
    int right = 0;
    {
      const symbols::symbolizer::reading open(names);
      for (const std::uintptr_t f : has_files ? functions : exported) {
        right += names.resolve(f).frames.back().name == (has_files ? "f" : "g") ? 1 : 0;
        CHECK(open_descriptors() <= descriptors + 40);
      }
    }
    CHECK(right == modules);
    CHECK(open_descriptors() <= descriptors + 1);  // the spare one
    if (!sanitized) {
      CHECK(status("VmHWM:") <= peak + 40'000);
      CHECK(status("RssAnon:") <= anonymous + 2048 + 4 * modules);
    }
  }
  for (void* const l : handles) ::dlclose(l);
}

// A child that inherited the files of a reading would keep them for good.
TEST_CASE("notes say what was missing when addresses were looked up") {
  if (!config::with_libdw) return;
  const temp_dir shop;
  shop.write("p.cpp", "extern \"C\" int in_plugin() { return 1; }\n");
  shop.run(temp_dir::compiler() + " -g -gsplit-dwarf -fPIC -c p.cpp -o p.o && " +
           temp_dir::compiler() + " -shared p.o -o p.so && rm -f *.dwo");
  void* const library = ::dlopen(shop.path("p.so").c_str(), RTLD_NOW);
  REQUIRE(library != nullptr);
  symbols::symbolizer names;
  {
    const symbols::symbolizer::reading open(names);
    CHECK(names.resolve(reinterpret_cast<std::uintptr_t>(::dlsym(library, "in_plugin")))
              .frames.back()
              .name == "in_plugin");
    std::string said;
    for (const std::string& note : names.notes()) said += note + '\n';
    CHECK(said.find(".dwo") != said.npos);
  }
  ::dlclose(library);
}

TEST_CASE("a child of fork inherits no reading of its parent, and finds names itself") {
  if (sanitized) return;  // its runtime's own locks do not survive such a fork
  symbols::symbolizer& names = symbols::symbolizer::instance();
  sys::spare.refill();
  const int descriptors = open_descriptors();
  auto open = std::make_unique<symbols::symbolizer::reading>(names);
  // (The address was not asked for before, so a file is opened.)
  (void)names.resolve(own_code() + 1);
  REQUIRE(open_descriptors() > descriptors);
  const ::pid_t child = ::fork();
  if (child == 0) {
    ::alarm(20);
    const bool closed = open_descriptors() == descriptors;
    const bool found = named(symbols::symbolizer::instance());
    open.reset();  // the parent's
    ::_exit(closed && found ? 0 : closed ? 1 : 2);
  }
  int status = -1;
  REQUIRE(::waitpid(child, &status, 0) == child);
  CHECK(status == 0);
  open.reset();
  CHECK(open_descriptors() == descriptors);
}

// Nine of ten forks happen while another thread only reads symbols: no lock that fork takes is held
// for longer than a moment.
TEST_CASE("fork does not wait for symbols to be read") {
  if (sanitized) return;
  const sys::vector<symbols::mapping> code = symbols::read_mappings();
  std::atomic<bool> stop{false};
  std::thread busy([&] {
    while (!stop) {
      symbols::symbolizer names;
      const symbols::symbolizer::reading open(names);
      for (const symbols::mapping& m : code) (void)names.resolve(m.start + 64);
    }
  });
  std::vector<std::int64_t> taken;
  for (int i = 0; i < 60; ++i) {
    const std::int64_t start = sys::monotonic_ns();
    const ::pid_t child = ::fork();
    if (child == 0) ::_exit(0);
    taken.push_back(sys::monotonic_ns() - start);
    ::waitpid(child, nullptr, 0);
  }
  stop = true;
  busy.join();
  sys::sort(taken, [](std::int64_t a, std::int64_t b) { return a < b; });
  MESSAGE("fork: median ", taken[30] / 1000, " us, 90 % ", taken[54] / 1000, " us");
  CHECK(taken[54] < 20'000'000);
}

TEST_CASE("answers are kept up to a limit, and forgotten only when they are used no longer") {
  symbols::symbolizer names;
  {
    const symbols::symbolizer::use one(names, std::size_t{1} << 30);
    const symbols::symbolizer::use other(names, 1);
    REQUIRE(named(names));
  }
  const std::size_t kept = names.answer_bytes();
  CHECK(kept > sizeof(symbols::frame));
  std::string_view before;
  {
    // (The last of them to end decides: it is the first that was made.)
    const symbols::symbolizer::use one(names, kept);
    before = names.resolve(own_code()).frames.back().name;
  }
  CHECK(names.answer_bytes() == kept);
  CHECK(names.resolve(own_code()).frames.back().name.data() == before.data());
  auto one = std::make_unique<symbols::symbolizer::use>(names, kept - 1);
  auto other = std::make_unique<symbols::symbolizer::use>(names, kept - 1);
  before = names.resolve(own_code()).frames.back().name;
  other.reset();
  CHECK(names.answer_bytes() == kept);
  CHECK(before.find("only_in_symtab") != std::string_view::npos);
  one.reset();
  CHECK(names.answer_bytes() == 0);
  CHECK(named(names));
  CHECK(names.answer_bytes() == kept);
}
