// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>
#include <elf.h>
#include <link.h>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <random>
#include <sstream>
#include <string>
#include <vector>

#include "support/temp_dir.hpp"
#include "support/text.hpp"
#include <whence/symbols/byte_source.hpp>
#include <whence/symbols/debug_file.hpp>
#include <whence/symbols/demangle.hpp>
#include <whence/symbols/elf.hpp>
#include <whence/symbols/symbol_table.hpp>

using namespace whence;
using whence_tests::temp_dir;

namespace {

constexpr const char* source = R"(
namespace inner { [[gnu::noinline]] int f(int n) { return n * 3; } }
static int hidden(int n) { return inner::f(n) + 1; }
template <class T> [[gnu::noinline]] T twice(T t) { return t + t; }
int (*volatile call)(int) = &hidden;
int entry(int n) { return call(n) + twice(n); }
int main(int argc, char**) { return entry(argc); }
)";

std::vector<std::byte> bytes_of(const std::string& path) {
  const std::string text = whence_tests::text_of(path);
  const auto* const begin = reinterpret_cast<const std::byte*>(text.data());
  return {begin, begin + text.size()};
}

// Every function that nm shows with an address and a size, found by an address in its middle.
void agrees_with_nm(const temp_dir& shop, const std::string& file, int at_least) {
  const symbols::file_source source_file(shop.path(file).c_str());
  symbols::symbol_table table;
  table.add(source_file, symbols::elf(source_file));
  table.sort();
  std::istringstream lines(shop.run("nm -S " + file));
  int compared = 0;
  for (std::string line; std::getline(lines, line);) {
    std::istringstream fields(line);
    std::string address, size, type, name;
    if (!(fields >> address >> size >> type >> name)) continue;
    if (type != "T" && type != "t" && type != "W") continue;
    const std::uint64_t start = std::stoull(address, nullptr, 16);
    const auto found = table.find(start + std::stoull(size, nullptr, 16) / 2);
    CAPTURE(name);
    CHECK(found.start == start);
    CHECK(found.name == name);
    ++compared;
  }
  CHECK(compared >= at_least);
}

}  // namespace

TEST_CASE("functions are found as nm lists them: PIE, fixed address and static programs") {
  const temp_dir shop;
  shop.write("p.cpp", source);
  shop.run(temp_dir::compiler() + " -O1 -fPIE -pie p.cpp -o pie");
  agrees_with_nm(shop, "pie", 5);
  shop.run(temp_dir::compiler() + " -O1 -fno-pie -no-pie p.cpp -o fixed");
  agrees_with_nm(shop, "fixed", 5);
  shop.run(temp_dir::compiler() + " -O1 -fPIC -shared p.cpp -o lib.so");
  agrees_with_nm(shop, "lib.so", 4);
}

TEST_CASE("the build-id is the one readelf prints") {
  const temp_dir shop;
  shop.write("p.cpp", source);
  shop.run(temp_dir::compiler() + " p.cpp -Wl,--build-id=sha1 -o p");
  const symbols::file_source file(shop.path("p").c_str());
  const std::string expected = shop.run("readelf -n p | sed -n 's/.*Build ID: //p'");
  CHECK(symbols::elf(file).build_id() + "\n" == expected);
  CHECK(expected.size() == 41);
}

TEST_CASE("stripped symbols are found by .gnu_debuglink, only in a file with its checksum") {
  const temp_dir shop;
  shop.write("p.cpp", source);
  shop.run(
      temp_dir::compiler() +
      " -Wl,--build-id=none p.cpp -o p && objcopy --only-keep-debug p p.debug && "
      "strip p && objcopy --add-gnu-debuglink=p.debug p && mkdir .debug && mv p.debug .debug/");
  const symbols::file_source module(shop.path("p").c_str());
  const symbols::elf header(module);
  CHECK(header.find(".symtab") == nullptr);
  const auto debug = symbols::find_debug_file(shop.path("p"), module, header).file;
  REQUIRE(debug != nullptr);
  CHECK(symbols::elf(*debug).find(".symtab") != nullptr);
  shop.run("printf x >> .debug/p.debug");
  CHECK(symbols::find_debug_file(shop.path("p"), module, header).file == nullptr);
}

// The names found in a damaged file do not matter, only that the search does no harm: the
// sanitizers are the oracle, and the test's own limit bounds the time.
TEST_CASE("damaged and truncated files are read without harm") {
  const temp_dir shop;
  shop.write("p.cpp", source);
  shop.run(temp_dir::compiler() +
           " -g p.cpp -o p && strip --strip-debug p && objcopy --add-gnu-debuglink=p p");
  const std::vector<std::byte> good = bytes_of(shop.path("p"));
  REQUIRE(good.size() > 1000);
  std::mt19937_64 random(7);
  const auto look = [](const std::vector<std::byte>& bytes) {
    const symbols::memory_source memory(bytes);
    const symbols::elf file(memory);
    symbols::symbol_table table;
    table.add(memory, file);
    table.sort();
    for (std::uint64_t a = 0; a < 0x5000; a += 64) (void)table.find(a);
    (void)symbols::find_debug_file("/nonexistent/p", memory, file);
  };
  look(good);
  for (int i = 0; i < 1500; ++i) {
    std::vector<std::byte> bad = good;
    // Damage matters most in headers: most of it goes there.
    for (std::uint64_t flips = 1 + random() % 8; flips > 0; --flips) {
      const bool header = random() % 2 == 0;
      const std::size_t at = header              ? random() % 64
                             : random() % 3 == 0 ? bad.size() - 1 - random() % 3000
                                                 : random() % bad.size();
      bad[at] = static_cast<std::byte>(random());
    }
    look(bad);
  }
  for (int i = 0; i < 1500; ++i) {
    std::vector<std::byte> cut = good;
    cut.resize(i < 200 ? static_cast<std::size_t>(i) : random() % good.size());
    look(cut);
  }
}

TEST_CASE("unreadable files, folders and devices count as empty") {
  for (const char* path : {"/nonexistent", "/", "/dev/zero"}) {
    const symbols::file_source file(path);
    CHECK(file.size() == 0);
    CHECK(symbols::elf(file).sections().empty());
  }
}

TEST_CASE(
    "names are demangled as c++filt shows them, those of clones and cold parts as the function") {
  CHECK(symbols::demangle("main") == "main");
  CHECK(symbols::demangle("_ZNSt6vectorIiSaIiEE9push_backEOi") ==
        "std::vector<int, std::allocator<int> >::push_back(int&&)");
  CHECK(symbols::demangle("_ZN12_GLOBAL__N_11fEi") == "(anonymous namespace)::f(int)");
  CHECK(symbols::demangle("_Z1fi.cold") == "f(int)");
  CHECK(symbols::demangle("_Z1fi.part.0.constprop.1") == "f(int)");
  for (const char* clone : {"work.part.0", "work.constprop.0", "work.isra.0", "work.cold",
                            "work.llvm.4711", "work.lto_priv.0", "work.isra.0.part.1.cold"}) {
    CHECK(symbols::demangle(clone) == "work");
  }
  for (const char* other : {"main.main", "camlList.map.part", "work.coldest", "a.llvm.", ".cold",
                            "_RNvCs1234_7mycrate3foo.llvm.12", "_D3std5stdio", "$s4main3fooyyF"}) {
    CHECK(symbols::demangle(other) == other);
  }
  CHECK(symbols::demangle("_Znonsense") == "_Znonsense");
  CHECK(symbols::demangle("") == "");
}

TEST_CASE("thousands of labels at one place, and endless names, take little time") {
  const temp_dir shop;
  shop.write("p.s",
             ".text\n.globl main\nmain: ret\n.altmacro\n.macro label n\n.type l\\n, @function\n"
             "l\\n:\n.endm\n.set i, 0\n.rept 100000\nlabel %i\n.set i, i+1\n.endr\nnop\n"
             "next: nop\n.size next, 1\n.type next, @function\n"
             ".section .note.GNU-stack,\"\",@progbits\n");
  shop.run(temp_dir::compiler() + " -c p.s -o p");
  const symbols::file_source file(shop.path("p").c_str());
  const symbols::elf header(file);
  const auto sort_start = std::chrono::steady_clock::now();
  symbols::symbol_table table;
  table.add(file, header);
  table.sort();
  CHECK(table.find(1).start == 1);
  CHECK(table.find(1).end == 2);
  CHECK(table.find(2).name == "next");
  CHECK(std::chrono::steady_clock::now() - sort_start < std::chrono::seconds(2));

  // A table of names without an end, in which all sections' names are.
  constexpr std::size_t sections = 100'000;
  constexpr std::size_t names = std::size_t{8} << 20;
  std::vector<std::byte> bytes(sizeof(ElfW(Ehdr)) + sections * sizeof(ElfW(Shdr)) + names,
                               std::byte{'a'});
  ElfW(Ehdr) ehdr{};
  std::memcpy(ehdr.e_ident, ELFMAG, SELFMAG);
  ehdr.e_ident[EI_CLASS] = sizeof(void*) == 8 ? ELFCLASS64 : ELFCLASS32;
  ehdr.e_ident[EI_DATA] = ELFDATA2LSB;
  ehdr.e_shoff = sizeof ehdr;
  ehdr.e_shentsize = sizeof(ElfW(Shdr));
  ehdr.e_shstrndx = 1;
  std::memcpy(bytes.data(), &ehdr, sizeof ehdr);
  std::vector<ElfW(Shdr)> headers(sections);
  headers[0].sh_size = sections;
  headers[1].sh_offset = bytes.size() - names;
  headers[1].sh_size = names;
  std::memcpy(bytes.data() + sizeof ehdr, headers.data(), sections * sizeof(ElfW(Shdr)));
  const symbols::memory_source memory(bytes);
  const symbols::elf endless(memory);
  CHECK(endless.sections().size() == sections);
  const auto find_start = std::chrono::steady_clock::now();
  CHECK(endless.find(".symtab") == nullptr);
  CHECK(std::chrono::steady_clock::now() - find_start < std::chrono::seconds(2));
}
