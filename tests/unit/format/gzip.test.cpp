// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>
#include <malloc.h>

#include <cstddef>
#include <span>
#include <string>
#include <system_error>

#include "support/sanitizers.hpp"
#include "tools.hpp"
#include <whence/format/gzip.hpp>

using namespace whence;

namespace {

std::string numbers() {
  std::string text;
  for (int i = 0; i < 200'000; ++i) text += std::to_string(i * 7919) + "\n";
  return text;
}

template <class Gzip>
std::string written(std::string_view text, std::size_t part) {
  std::string result;
  sink out(result);
  Gzip gzip(out);
  while (!text.empty()) {
    CHECK_FALSE(gzip.write(std::as_bytes(std::span(text.substr(0, part)))));
    text.remove_prefix(std::min(part, text.size()));
  }
  CHECK_FALSE(gzip.finish());
  return result;
}

}  // namespace

TEST_CASE("stored passes its input through") {
  CHECK(written<format::stored>("abcdef", 4) == "abcdef");
  CHECK(written<format::stored>("", 4).empty());
}

#if WHENCE_WITH_ZLIB
TEST_CASE("gzip reads back what was compressed, in parts of any size") {
  const whence_tests::temp_dir here;
  const std::string text = numbers();
  for (const std::size_t part : {1000U, 65'536U, 10'000'000U}) {
    tools::save(here / "out.gz", written<format::zlib_gzip>(text, part));
    CHECK(tools::output_of("gzip -dc " + (here / "out.gz").string()) == text);
  }
  tools::save(here / "empty.gz", written<format::zlib_gzip>("", 1));
  CHECK(tools::output_of("gzip -dc " + (here / "empty.gz").string()).empty());
}

TEST_CASE("the same content gives the same file: no time, made on Unix, fastest level") {
  const std::string file = written<format::zlib_gzip>("content", 100);
  REQUIRE(file.size() > 10);
  CHECK(file.substr(0, 10) == std::string("\x1f\x8b\x08\x00\x00\x00\x00\x00\x04\x03", 10));
}

TEST_CASE("an error of the sink is returned by the write or the finish that met it") {
  int calls = 0;
  sink out([&calls](std::span<const std::byte>) {
    return ++calls == 1 ? std::make_error_code(std::errc::io_error) : std::error_code();
  });
  format::zlib_gzip gzip(out);
  const std::string text = numbers();
  CHECK(gzip.write(std::as_bytes(std::span(text))) == std::errc::io_error);
  CHECK(calls == 1);
}

TEST_CASE("compressing takes at most 300 KB" * doctest::skip(sanitized)) {
  std::string result;
  sink out(result);
  const std::size_t before = ::mallinfo2().uordblks + ::mallinfo2().hblkhd;
  format::zlib_gzip gzip(out);
  const std::size_t after = ::mallinfo2().uordblks + ::mallinfo2().hblkhd;
  CHECK(after - before > 100'000);  // otherwise nothing was measured
  CHECK(after - before <= 300'000);
  CHECK_FALSE(gzip.finish());
}
#endif
