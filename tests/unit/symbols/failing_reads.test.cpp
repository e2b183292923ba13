// SPDX-License-Identifier: Apache-2.0
//
// Files that the system refuses to read, or to read further.
#include <whence/config.hpp>

#include <doctest/doctest.h>
#include <elf.h>
#include <fcntl.h>
#include <link.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>

#include "support/temp_dir.hpp"
#include <whence/symbols/byte_source.hpp>
#include <whence/symbols/debug_file.hpp>
#include <whence/symbols/lines.hpp>
#include <whence/symbols/symbol_table.hpp>

namespace {

using namespace whence;

// Memory of which the bytes from `end` on cannot be read now.
class failing_source final : public symbols::byte_source {
 public:
  explicit failing_source(std::string bytes) : end(bytes.size()), bytes_(std::move(bytes)) {}
  std::uint64_t size() const noexcept override { return bytes_.size(); }
  std::uint64_t end;

 private:
  bool read_within(std::uint64_t offset, std::span<std::byte> to) const override {
    if (offset + to.size() > end) return false;
    std::memcpy(to.data(), bytes_.data() + offset, to.size());
    return true;
  }

  std::string bytes_;
};

}  // namespace

TEST_CASE("a name of which a part can be read is no name") {
  const std::string name(300, 'f');
  ElfW(Sym) function{};
  function.st_name = 1;
  function.st_info = STT_FUNC;
  function.st_shndx = 1;
  function.st_value = 0x1000;
  function.st_size = 16;
  std::string bytes(sizeof function, '\0');
  std::memcpy(bytes.data(), &function, sizeof function);
  bytes += '\0' + name + '\0';
  failing_source source(bytes);
  symbols::symbol_table table;
  table.add(source, {0, 1, sizeof function, name.size() + 2});
  table.sort();
  CHECK(table.find(0x1008).name == name);
  source.end = sizeof function + 200;
  CHECK(table.find(0x1008).name.empty());
}

TEST_CASE("lines that the system refuses to read are said to be missing, and may be there later") {
  if (!config::with_libdw) return;
  const whence_tests::temp_dir shop;
  shop.write("l.cpp", "int f(int n) { return n; }\n");
  shop.run(whence_tests::temp_dir::compiler() + " -g -shared -fPIC l.cpp -o l.so");
  const std::string path = shop.path("l.so");
  const int unreadable = ::open(path.c_str(), O_WRONLY | O_CLOEXEC);
  REQUIRE(unreadable >= 0);
  {
    const symbols::debug_lines lines(unreadable, -1, path);
    CHECK(lines.missing().find("could not be read") != std::string_view::npos);
    CHECK(lines.may_pass());
  }
  ::close(unreadable);
  const symbols::file_source file(path.c_str());
  const symbols::debug_lines lines(file.descriptor(), -1, path);
  CHECK(lines.missing().empty());
  CHECK_FALSE(lines.may_pass());
  CHECK(symbols::may_pass(EIO));
}
