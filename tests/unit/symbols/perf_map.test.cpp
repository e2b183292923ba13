// SPDX-License-Identifier: Apache-2.0
//
// Generated code, named by the file that its compiler wrote for perf.
#include <whence/config.hpp>

#include <doctest/doctest.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdint>
#include <fstream>
#include <string>
#include <thread>

#include "support/temp_dir.hpp"
#include <whence/symbols/perf_map.hpp>
#include <whence/symbols/symbolizer.hpp>

using namespace whence;
using whence_tests::temp_dir;

namespace {

std::string own_map() {
  return "/tmp/perf-" + std::to_string(::getpid()) + ".map";
}

std::string name_of(symbols::symbolizer& names, std::uintptr_t pc) {
  return std::string(names.resolve(pc).frames.back().name);
}

}  // namespace

TEST_CASE("the later line wins, a name may have blanks, and malformed lines are skipped") {
  const temp_dir shop;
  const std::string path = shop.path("map");
  shop.write("map",
             "1000 100 old code\n"
             "no line at all\n"
             "\n"
             "1100 10\n"
             "2000 40 Lazy:*render /srv/app.js:12\n"
             "1000 80 new code\n"
             "3000 ffffffffffffffff endless\n"
             "4000 10 last");
  const symbols::perf_map map(path);
  CHECK(map.find(0x1000) == "new code");
  CHECK(map.find(0x107f) == "new code");
  CHECK(map.find(0x1080) == "old code");
  CHECK(map.find(0x1100).empty());
  CHECK(map.find(0xfff).empty());
  CHECK(map.find(0x203f) == "Lazy:*render /srv/app.js:12");
  CHECK(map.find(0x3500) == "endless");
  CHECK(map.find(0x4001) == "last");
}

TEST_CASE("lines of a large map are found across its pieces, endless lines are cut") {
  const temp_dir shop;
  std::ofstream file(shop.path("map"));
  for (std::uintptr_t i = 1; i <= 20000; ++i) {
    file << std::hex << i * 0x1000 << " 10 function_" << std::dec << i << '\n';
    if (i == 10000)
      file << std::hex << 0x7000000001000 << " 10 " << std::string(300'000, 'x') << '\n';
  }
  file.close();
  const symbols::perf_map map(shop.path("map"));
  int right = 0;
  for (std::uintptr_t i = 1; i <= 20000; ++i) {
    right += map.find(i * 0x1000 + 5) == "function_" + std::to_string(i) ? 1 : 0;
  }
  CHECK(right == 20000);
  const std::string longest = map.find(0x7000000001000);
  CHECK(longest.starts_with("xxxx"));
  CHECK(longest.size() <= 4096);
}

TEST_CASE("a map is a regular file of this user") {
  const temp_dir shop;
  shop.write("map", "1000 100 name\n");
  shop.run("mkfifo fifo && mkdir folder");
  CHECK(symbols::perf_map(shop.path("map")).find(0x1000) == "name");
  CHECK(symbols::perf_map(shop.path("fifo")).find(0x1000).empty());
  CHECK(symbols::perf_map(shop.path("folder")).find(0x1000).empty());
  CHECK(symbols::perf_map(shop.path("none")).find(0x1000).empty());
  if (::geteuid() != 0) return;
  REQUIRE(::chown(shop.path("map").c_str(), 12345, 12345) == 0);
  CHECK(symbols::perf_map(shop.path("map")).find(0x1000).empty());
}

TEST_CASE(
    "generated code has its compiler's last name for it; other code has none of these names") {
  constexpr std::size_t bytes = 8192;
  void* const code = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE | PROT_EXEC,
                            MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  REQUIRE(code != MAP_FAILED);
  const auto at = reinterpret_cast<std::uintptr_t>(code);
  const auto own = reinterpret_cast<std::uintptr_t>(&own_map);
  const auto write = [&](const char* name) {
    std::ofstream(own_map()) << std::hex << at << " 100 " << name << '\n'
                             << own << " 100 not_this_one\n";
  };
  symbols::symbolizer names;
  CHECK(name_of(names, at + 1) == "[unknown]");
  write("first");
  CHECK(name_of(names, at + 1) == "first");
  const symbols::location* const held = &names.resolve(at + 1);
  CHECK(&names.resolve(at + 1) == held);  // equal answers are kept once
  write("second");
  CHECK(name_of(names, at + 1) == "second");
  CHECK(held->frames.back().name == "first");
  CHECK(name_of(names, at + 0x200) == "[unknown]");
  CHECK(name_of(names, own).find("own_map") != std::string::npos);
  {
    // Reading a map that is being rewritten yields one of its lines, or nothing.
    const symbols::symbolizer::reading open(names);
    CHECK(name_of(names, at + 1) == "second");
    write("third, written anew");
    const std::string name = name_of(names, at + 2);
    CHECK((name == "[unknown]" || name == "second" || name.starts_with("third")));
  }
  CHECK(name_of(names, at + 2) == "third, written anew");
  ::unlink(own_map().c_str());
  ::munmap(code, bytes);
}
