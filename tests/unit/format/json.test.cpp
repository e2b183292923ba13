// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>
#include <locale.h>
#include <stdlib.h>
#include <sys/resource.h>

#include <cstdint>
#include <cstdlib>
#include <string>

#include "support/sanitizers.hpp"
#include "support/temp_dir.hpp"
#include <whence/format/json.hpp>
#include <whence/format/sink.hpp>
#include <whence/snapshots/snapshot.hpp>

namespace {

using namespace whence;

// The program's numbers have a decimal comma while this lives.
class comma_locale {
 public:
  comma_locale() {
    const std::string make =
        "localedef --no-archive -i de_DE -f UTF-8 " + folder_.path("comma") + " >/dev/null 2>&1";
    if (std::system(make.c_str()) != 0) return;
    ::setenv("LOCPATH", folder_.path("").c_str(), 1);
    is_set_ = ::setlocale(LC_NUMERIC, "comma") != nullptr;
    ::unsetenv("LOCPATH");
  }
  ~comma_locale() { ::setlocale(LC_NUMERIC, "C"); }
  comma_locale(const comma_locale&) = delete;
  comma_locale& operator=(const comma_locale&) = delete;

  bool is_set() const { return is_set_; }

 private:
  whence_tests::temp_dir folder_;
  bool is_set_ = false;
};

std::string json_at(std::int64_t time_ns, std::int64_t duration_ns) {
  profile_snapshot snapshot;
  snapshot.header.name = "json.times";
  snapshot.header.time_ns = time_ns;
  snapshot.header.duration_ns = duration_ns;
  std::string text;
  sink out(text);
  REQUIRE_FALSE(format::json_writer().write(out, snapshot));
  return text;
}

}  // namespace

TEST_CASE("times in JSON are numbers in every locale") {
  const auto check = [] {
    CHECK(json_at(1'763'960'000'123'000'000, 50'000'000)
              .find("\"time\":1763960000.123,\"duration\":0.050,") != std::string::npos);
    CHECK(json_at(-1'250'000'000, 0).find("\"time\":-1.250,\"duration\":0.000,") !=
          std::string::npos);
  };
  check();
  const comma_locale german;
  if (!german.is_set()) {
    MESSAGE("skipped: localedef has no source of a locale with a decimal comma");
    return;
  }
  REQUIRE(std::string(::localeconv()->decimal_point) == ",");
  check();
}

TEST_CASE("JSON says what its names lack") {
  if (sanitized) return;  // UBSan needs a descriptor to look whether memory may be read
  static const std::uintptr_t stack[] = {reinterpret_cast<std::uintptr_t>(&json_at) + 1};
  profile_snapshot snapshot;
  snapshot.header.name = "json.names";
  snapshot.rows.emplace_back().stack = stack;
  snapshot.rows.back().values[0] = 1;
  ::rlimit before{};
  ::getrlimit(RLIMIT_NOFILE, &before);
  const ::rlimit none{0, before.rlim_max};
  REQUIRE(::setrlimit(RLIMIT_NOFILE, &none) == 0);
  std::string text;
  sink out(text);
  CHECK_FALSE(format::json_writer().write(out, snapshot));
  ::setrlimit(RLIMIT_NOFILE, &before);
  CHECK(text.find("could not be read: Too many open files") != std::string::npos);
}
