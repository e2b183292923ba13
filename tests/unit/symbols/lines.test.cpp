// SPDX-License-Identifier: Apache-2.0
#include <whence/config.hpp>

#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <set>
#include <sstream>
#include <string>
#include <vector>

#include "support/sanitizers.hpp"
#include "support/temp_dir.hpp"
#include <whence/symbols/lines.hpp>

using namespace whence;
using whence_tests::temp_dir;

namespace {

// An open descriptor, which the caller of debug_lines holds.
class opened {
 public:
  explicit opened(const std::string& path)
      : descriptor_(::open(path.c_str(), O_RDONLY | O_CLOEXEC)) {
    REQUIRE(descriptor_ >= 0);
  }
  ~opened() { ::close(descriptor_); }
  opened(const opened&) = delete;
  opened& operator=(const opened&) = delete;
  int get() const noexcept { return descriptor_; }

 private:
  int descriptor_;
};

struct function {
  std::uint64_t start = 0, size = 0;
};

function find_function(const temp_dir& shop, const std::string& program, const std::string& name) {
  std::istringstream found(shop.run("nm -S " + program + " | grep -m1 ' " + name + "$'"));
  function f;
  found >> std::hex >> f.start >> f.size;
  REQUIRE(f.size != 0);
  return f;
}

void build(const temp_dir& shop, const std::string& source, const std::string& flags) {
  shop.write("program.cpp", source);
  shop.run(temp_dir::compiler() + " -std=c++20 " + flags + " program.cpp -o program");
}

constexpr const char* two_lambdas = R"(
volatile int sink;
struct call { virtual void operator()(int) = 0; };
template <class F> struct call_of final : call {
  F f;
  explicit call_of(F g) : f(g) {}
  void operator()(int n) override { f(n); }
};
call* calls[2];
namespace shop {
void price() {
  calls[0] = new call_of([](int n) { for (int i = 0; i < n; ++i) sink = sink + i; });
}
void ship() {
  calls[1] = new call_of([](int n) { for (int i = 0; i < n; ++i) sink = sink - i; });
}
}
int main() { shop::price(); shop::ship(); for (call* c : calls) (*c)(3); return 0; }
)";

// Names of all functions at the addresses of a program's code.
std::set<std::string> all_names(const temp_dir& shop, symbols::debug_lines& lines) {
  std::set<std::string> names;
  std::istringstream symbols(shop.run("nm -S --defined-only program"));
  for (std::string line; std::getline(symbols, line);) {
    std::istringstream fields(line);
    std::uint64_t start = 0;
    std::uint64_t size = 0;
    std::string kind;
    if (!(fields >> std::hex >> start >> size >> kind)) continue;
    if (kind.find_first_of("tTwW") == std::string::npos) continue;
    for (std::uint64_t at = start; at < start + size; ++at) {
      for (const symbols::source_line& l : lines.find(at)) names.insert(l.function);
    }
  }
  return names;
}

long resident_anonymous() {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);) {
    if (line.starts_with("RssAnon:")) return std::atol(line.c_str() + 8);
  }
  return 0;
}

std::size_t descriptors() {
  std::size_t count = 0;
  for (const auto& entry : std::filesystem::directory_iterator("/proc/self/fd")) {
    count += entry.path().empty() ? 0U : 1U;
  }
  return count;
}

}  // namespace

TEST_CASE("two lambdas have two names, which tell the functions they are in") {
  if (!config::with_libdw) return;
  for (const char* flags : {"-O0 -g", "-O2 -g"}) {
    CAPTURE(flags);
    const temp_dir shop;
    build(shop, two_lambdas, flags);
    const opened file(shop.path("program"));
    symbols::debug_lines lines(file.get(), -1, shop.path("program"));
    bool price = false;
    bool ship = false;
    for (const std::string& name : all_names(shop, lines)) {
      CAPTURE(name);
      // The linker's name of the lambda that is not inlined, or the scopes.
      const bool scopes =
          name.starts_with("shop::") && name.find("::{lambda at program.cpp:") != std::string::npos;
      const bool mangled = name.starts_with("_ZZN4shop") || name.starts_with("_ZNK4shop");
      if (!scopes && !mangled) continue;
      price |= name == "shop::price::{lambda at program.cpp:12}" ||
               name.find("5price") != std::string::npos;
      ship |= name == "shop::ship::{lambda at program.cpp:15}" ||
              name.find("4ship") != std::string::npos;
    }
    CHECK(price);
    CHECK(ship);
    CHECK(lines.missing().empty());
  }
}

TEST_CASE("generic and nested lambdas have names like any lambda") {
  if (!config::with_libdw) return;
  const temp_dir shop;
  build(shop, R"(
volatile int sink;
template <class F> [[gnu::always_inline]] inline void visit(F f, int n) { f(n); f(2L * n); }
namespace shop {
[[gnu::noinline]] void count(int n) {
  visit([](auto v) {
    [v] { for (int i = 0; i < v; ++i) sink = sink + i; }();
  }, n);
}
}
int main() { shop::count(3); return 0; }
)",
        "-O2 -g");
  const opened file(shop.path("program"));
  symbols::debug_lines lines(file.get(), -1, shop.path("program"));
  std::set<std::string> lambdas;
  for (const std::string& name : all_names(shop, lines)) {
    if (name.find(" at program.cpp:") != std::string::npos) lambdas.insert(name);
  }
#ifdef __clang__
  CHECK(lambdas.empty());  // it writes the linker's names of lambdas
#else
  const std::string outer = "shop::count::{lambda at program.cpp:6}";
  CHECK(lambdas == std::set<std::string>{outer, outer + "::{lambda at program.cpp:7}"});
#endif
}

TEST_CASE("a frame has the column of its row, and the line its function starts in") {
  if (!config::with_libdw) return;
  const temp_dir shop;
  build(shop,
        "volatile int sink;\n\nextern \"C\" int counted(int n) {\n  sink = n;\n  return n;\n}\nint "
        "main() { return counted(0); }\n",
        "-O0 -g");
  const function f = find_function(shop, "program", "counted");
  const opened file(shop.path("program"));
  symbols::debug_lines lines(file.get(), -1, shop.path("program"));
  const auto frames = lines.find(f.start);
  REQUIRE(frames.size() == 1);
  CHECK(frames[0].function == "counted");
  CHECK(frames[0].start_line == 3);
  CHECK(frames[0].line == 3);
  // clang writes no column for the first row.
  const auto last = lines.find(f.start + f.size - 1);
  REQUIRE(!last.empty());
  CHECK(last[0].column != 0);
  CHECK(frames[0].file == shop.path("program.cpp"));
  CHECK(lines.find(f.start + (std::uint64_t{1} << 40)).empty());
}

TEST_CASE("other files, and programs without debug information, have no lines") {
  const temp_dir shop;
  shop.write("text", "no program");
  shop.write("empty", "");
  for (const char* name : {"text", "empty"}) {
    const opened file(shop.path(name));
    symbols::debug_lines lines(file.get(), -1, shop.path(name));
    CHECK(lines.find(0x1000).empty());
    if (config::with_libdw) CHECK(lines.missing().empty());
  }
  symbols::debug_lines none(-1, -1, "");
  CHECK(none.find(0x1000).empty());
  if (!config::with_libdw) CHECK(none.missing().find("libdw") != std::string_view::npos);
}

TEST_CASE("a file that is truncated while it is being read still gives answers") {
  if (!config::with_libdw) return;
  const temp_dir shop;
  build(shop, two_lambdas, "-O2 -g");
  const function f = find_function(shop, "program", "main");
  const opened file(shop.path("program"));
  symbols::debug_lines lines(file.get(), -1, shop.path("program"));
  std::filesystem::resize_file(shop.path("program"), 100);  // a mapped file would raise SIGBUS
  const auto frames = lines.find(f.start);
  REQUIRE_FALSE(frames.empty());
  CHECK(frames.back().function == "main");
}

TEST_CASE("missing files of split debug information are named") {
  if (!config::with_libdw) return;
  const temp_dir shop;
  shop.write("program.cpp", two_lambdas);
  shop.run(temp_dir::compiler() +
           " -std=c++20 -O2 -g -gsplit-dwarf -c program.cpp -o program.o && " +
           temp_dir::compiler() + " program.o -o program && rm -f *.dwo");
  const function f = find_function(shop, "program", "main");
  const opened file(shop.path("program"));
  symbols::debug_lines lines(file.get(), -1, shop.path("program"));
  const auto frames = lines.find(f.start);
  REQUIRE_FALSE(frames.empty());
  CHECK(frames.back().line != 0);
  CHECK(lines.missing().find(".dwo") != std::string_view::npos);
}

TEST_CASE("another build's file of split debug information is not read") {
  if (!config::with_libdw) return;
  const temp_dir shop;
  const auto compile = [&shop] {
    shop.run(temp_dir::compiler() + " -std=c++20 -O0 -g -gsplit-dwarf -c program.cpp -o program.o");
  };
  shop.write("program.cpp", "int right() { return 1; }\nint main() { return right(); }\n");
  compile();
  shop.run(temp_dir::compiler() + " program.o -o program");
  const function f = find_function(shop, "program", "_Z5rightv");
  shop.write("program.cpp", "int wrong() { return 1; }\nint main() { return wrong(); }\n");
  compile();
  const opened file(shop.path("program"));
  symbols::debug_lines lines(file.get(), -1, shop.path("program"));
  for (const symbols::source_line& l : lines.find(f.start)) {
    CHECK(l.function.find("wrong") == std::string::npos);
  }
  CHECK(lines.missing().find(".dwo") != std::string_view::npos);
}

TEST_CASE("sections that libelf cannot decompress are reported") {
  if (!config::with_libdw) return;
  const temp_dir shop;
  if (std::system("objcopy --help | grep -q zstd") != 0) return;
  build(shop, two_lambdas, "-O2 -g");
  shop.run("objcopy --compress-debug-sections=zstd program packed");
  const function f = find_function(shop, "program", "main");
  const opened file(shop.path("packed"));
  symbols::debug_lines lines(file.get(), -1, shop.path("packed"));
  const bool known = !lines.find(f.start).empty();
  CHECK(known == lines.missing().empty());
  if (!known) CHECK(lines.missing().find("zstd") != std::string_view::npos);
}

TEST_CASE("memory and descriptors are released after reading") {
  if (!config::with_libdw || sanitized) return;
  const opened file("/proc/self/exe");
  const auto read = [&file] {
    symbols::debug_lines lines(file.get(), -1, "/proc/self/exe");
    std::size_t frames = 0;
    for (std::uint64_t at = 0; at < (std::uint64_t{8} << 20); at += 1021) {
      frames += lines.find(at).size();
    }
    return frames;
  };
  CHECK(read() > 100);
  const long before = resident_anonymous();
  const std::size_t open_before = descriptors();
  for (int i = 0; i < 2; ++i) CHECK(read() > 100);
  CHECK(resident_anonymous() < before + 2048);
  CHECK(descriptors() == open_before);
}

TEST_CASE("a row with an impossible file number has no file") {
  if (!config::with_libdw) return;
  const temp_dir shop;
  shop.write("program.s", R"(
  .text
  .globl main
  .type main, @function
main:
  ret
.Lend:
  .size main, .-main
  .section .debug_abbrev,"",@progbits
  .byte 1, 0x11, 0, 0x11, 1, 0x12, 7, 0x10, 0x17, 0, 0, 0
  .section .debug_info,"",@progbits
  .long 2f-1f
1: .value 4
  .long .debug_abbrev
  .byte 8, 1
  .quad main
  .quad .Lend-main
  .long .debug_line
2:
  .section .debug_line,"",@progbits
  .long 2f-1f
1: .value 4
  .long 4f-3f
3: .byte 1, 1, 1, -5, 14, 13
  .byte 0, 1, 1, 1, 1, 0, 0, 0, 1, 0, 0, 1
  .byte 0
  .asciz "a.cpp"
  .byte 0, 0, 0, 0
4: .byte 0, 9, 2
  .quad main
  .byte 4
  .uleb128 2000000
  .byte 1, 2
  .uleb128 .Lend-main
  .byte 0, 1, 1
2:
  .section .note.GNU-stack,"",@progbits
)");
  shop.run(temp_dir::compiler() + " program.s -o program");
  const function f = find_function(shop, "program", "main");
  const opened file(shop.path("program"));
  symbols::debug_lines lines(file.get(), -1, shop.path("program"));
  const auto frames = lines.find(f.start);
  REQUIRE(frames.size() == 1);
  CHECK(frames[0].file.empty());
  CHECK(frames[0].line == 1);
}

TEST_CASE("files that were missed for lack of a descriptor may be found later") {
  if (!config::with_libdw) return;
  const temp_dir shop;
  shop.write("program.cpp", two_lambdas);
  shop.run(temp_dir::compiler() +
           " -std=c++20 -O2 -g -gsplit-dwarf -c program.cpp -o program.o && " +
           temp_dir::compiler() + " program.o -o program");
  const function f = find_function(shop, "program", "main");
  const opened file(shop.path("program"));
  symbols::debug_lines lines(file.get(), -1, shop.path("program"));
  CHECK_FALSE(lines.may_pass());
  rlimit before{};
  REQUIRE(::getrlimit(RLIMIT_NOFILE, &before) == 0);
  rlimit none = before;
  none.rlim_cur = 0;
  REQUIRE(::setrlimit(RLIMIT_NOFILE, &none) == 0);
  (void)lines.find(f.start);
  ::setrlimit(RLIMIT_NOFILE, &before);
  CHECK(lines.may_pass());
  symbols::debug_lines again(file.get(), -1, shop.path("program"));
  CHECK(again.find(f.start).back().function == "main");
  CHECK_FALSE(again.may_pass());
}

TEST_CASE("a supplement that DWARF 5 names is accepted only if its id matches") {
  if (!config::with_libdw) return;
  const temp_dir shop;
  build(shop, "int main() { return 0; }\n", "-O0 -g");
  // | version 5 | a supplement itself | name | length of the id | id |
  const auto link = [&shop](const std::string& to, bool is_one, char id) {
    const std::string name = is_one ? "" : "other";
    std::string bytes("\5\0", 2);
    bytes += is_one ? '\1' : '\0';
    bytes += name + '\0' + '\4' + std::string(4, id);
    shop.write("link", bytes);
    shop.run("objcopy --add-section .debug_sup=link program " + to);
  };
  link("module", false, 'A');
  for (const char id : {'A', 'B'}) {
    link("other", true, id);
    const opened file(shop.path("module"));
    const symbols::debug_lines lines(file.get(), -1, shop.path("module"));
    CHECK((lines.missing().find("supplement") == std::string_view::npos) == (id == 'A'));
  }
}
