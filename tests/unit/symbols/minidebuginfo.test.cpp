// SPDX-License-Identifier: Apache-2.0
#include <whence/config.hpp>

#include <doctest/doctest.h>
#include <sys/resource.h>

#include <cerrno>
#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <string>
#include <vector>

#include "support/temp_dir.hpp"
#include "support/text.hpp"
#include <whence/symbols/byte_source.hpp>
#include <whence/symbols/elf.hpp>
#include <whence/symbols/minidebuginfo.hpp>
#include <whence/symbols/symbol_table.hpp>

using namespace whence;
using whence_tests::temp_dir;

namespace {

// A stripped program with packed symbols, like Fedora's packages.
void build(const temp_dir& shop) {
  shop.write("program.cpp",
             "[[gnu::noinline]] static int hidden(int n) { return n + 1; }\n"
             "int (*volatile call)(int) = &hidden;\nint main() { return call(0); }\n");
  shop.run(temp_dir::compiler() +
           " -O1 program.cpp -o program && "
           "objcopy -S --keep-symbol=_ZL6hiddeni program mini && xz -k mini && "
           "strip program -o stripped && "
           "objcopy --add-section .gnu_debugdata=mini.xz stripped packed");
}

std::string name_in(const sys::vector<std::byte>& file, std::uint64_t address) {
  const symbols::memory_source source(file);
  symbols::symbol_table table;
  table.add(source, symbols::elf(source));
  table.sort();
  return std::string(table.find(address).name);
}

}  // namespace

TEST_CASE("packed symbols of a stripped program are found") {
  if (!config::with_libdw || std::system("xz --version > /dev/null 2>&1") != 0) return;
  const temp_dir shop;
  build(shop);
  const std::uint64_t address =
      std::stoull(shop.run("nm program | sed -n 's/ t _ZL6hiddeni//p'"), nullptr, 16);
  const symbols::file_source source(shop.path("packed").c_str());
  std::string why;
  int error = 0;
  const auto plain = symbols::minidebuginfo::unpack(source, symbols::elf(source), why, error);
  CHECK(why.empty());
  CHECK(error == 0);
  CHECK(name_in(plain, address) == "_ZL6hiddeni");

  const symbols::file_source other(shop.path("stripped").c_str());
  CHECK(symbols::minidebuginfo::unpack(other, symbols::elf(other), why, error).empty());
  CHECK(why.empty());

  rlimit before{};
  REQUIRE(::getrlimit(RLIMIT_NOFILE, &before) == 0);
  rlimit none = before;
  none.rlim_cur = 0;
  REQUIRE(::setrlimit(RLIMIT_NOFILE, &none) == 0);
  const auto nothing = symbols::minidebuginfo::unpack(source, symbols::elf(source), why, error);
  ::setrlimit(RLIMIT_NOFILE, &before);
  CHECK(nothing.empty());
  CHECK(error == EMFILE);
}

TEST_CASE("damaged packed symbols are refused, for damage in any place") {
  if (!config::with_libdw || std::system("xz --version > /dev/null 2>&1") != 0) return;
  const temp_dir shop;
  build(shop);
  const std::string whole = whence_tests::text_of(shop / "packed");
  const std::size_t at = whole.find(
      "\xfd"
      "7zXZ");
  REQUIRE(at != std::string::npos);
  const std::size_t size = std::filesystem::file_size(shop.path("mini.xz"));
  for (std::size_t i = 0; i < size; i += i < 32 || i + 64 > size ? 1 : 97) {
    std::string damaged = whole;
    damaged[at + i] = static_cast<char>(damaged[at + i] ^ 0x55);
    const auto* const bytes = reinterpret_cast<const std::byte*>(damaged.data());
    const symbols::memory_source source({bytes, damaged.size()});
    std::string why;
    int error = 0;
    const auto plain = symbols::minidebuginfo::unpack(source, symbols::elf(source), why, error);
    CAPTURE(i);
    CHECK(plain.empty() == !why.empty());
  }
}

namespace {

std::vector<std::byte> bytes_of(const std::string& path) {
  const symbols::file_source file(path.c_str());
  std::vector<std::byte> bytes(file.size());
  REQUIRE(file.read(0, bytes));
  return bytes;
}

// The largest amount of memory that the process has had so far.
long peak_kilobytes() {
  std::ifstream status("/proc/self/status");
  std::string word;
  long kilobytes = 0;
  while (status >> word && word != "VmHWM:") {
  }
  status >> kilobytes;
  return kilobytes;
}

}  // namespace

TEST_CASE("the unpacked size is that of the chunks, for every way of packing") {
  if (!config::with_libdw || std::system("xz --version > /dev/null 2>&1") != 0) return;
  const temp_dir shop;
  shop.run("cat /bin/sh /bin/sh > plain && head -c 300000 /dev/urandom >> plain");
  const std::uint64_t plain = std::filesystem::file_size(shop.path("plain"));
  for (const char* options :
       {"-1", "-6", "-9e", "--block-size=65536", "--x86 --lzma2",
        "--delta=dist=4 --x86 --lzma2=dict=4KiB", "--check=none", "--check=crc32", "--check=sha256",
        "-T2 --block-size=100000", "--lzma2=mode=fast,lc=0"}) {
    CAPTURE(options);
    shop.run(std::string("xz -k -f ") + options + " plain");
    CHECK(symbols::xz_size::of(bytes_of(shop.path("plain.xz"))) == plain);
  }
  shop.run(": > plain && xz -k -f plain");
  CHECK(symbols::xz_size::of(bytes_of(shop.path("plain.xz"))) == 0);
  // Dictionaries larger than 64 MiB, and a second stream.
  shop.run("echo > plain && xz -c plain > two && xz -c plain >> two");
  CHECK(!symbols::xz_size::of(bytes_of(shop.path("two"))));
  for (const char* size : {"65MiB", "1GiB"}) {
    shop.run(std::string("xz -k -f plain --lzma2=dict=") + size);
    CHECK(!symbols::xz_size::of(bytes_of(shop.path("plain.xz"))));
  }
}

TEST_CASE("packed symbols whose index lies about their size take no more memory than it says") {
  if (!config::with_libdw || std::system("xz --version > /dev/null 2>&1") != 0) return;
  const temp_dir shop;
  shop.run("head -c 134217728 /dev/zero | xz -0 > big.xz");
  std::string bomb = whence_tests::text_of(shop / "big.xz");
  // 134 217 728, 7 bits a byte, becomes 4 194 304.
  const std::size_t at = bomb.rfind("\x80\x80\x80\x40");
  REQUIRE(at != std::string::npos);
  bomb[at + 3] = 2;
  std::ofstream(shop.path("lie.xz"), std::ios::binary) << bomb;
  shop.write("program.c", "int main(void) { return 0; }\n");
  shop.run(temp_dir::compiler() +
           " -x c program.c -o program && "
           "objcopy -S --add-section .gnu_debugdata=lie.xz program packed");
  const symbols::file_source source(shop.path("packed").c_str());
  const symbols::elf header(source);
  REQUIRE(header.find(".gnu_debugdata") != nullptr);
  std::string why;
  int error = 0;
  const long before = peak_kilobytes();
  CHECK(symbols::minidebuginfo::unpack(source, header, why, error).empty());
  CHECK(why == "the section .gnu_debugdata is damaged");
  CHECK(peak_kilobytes() - before < 60'000);
}
