// SPDX-License-Identifier: Apache-2.0
//
// A sink is taken away from each writer at every stage of its work: what is done after that is
// counted.
#include <doctest/doctest.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <ostream>
#include <span>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include "tools.hpp"
#include <whence/format/folded.hpp>
#include <whence/format/json.hpp>
#include <whence/format/profile_writer.hpp>
#include <whence/format/sink.hpp>
#include <whence/format/text.hpp>
#include <whence/profile.hpp>
#include <whence/snapshots/row_source.hpp>
#include <whence/snapshots/snapshot.hpp>
#include <whence/sys/catch_error.hpp>

using namespace whence;

namespace {

constexpr std::size_t row_count = 40'000;
constexpr std::size_t depth = 16;

// Wanted for so many questions. Then it refuses bytes too, as a server's answer does.
struct reader {
  long wanted_for;
  bool is_gone = false;
  std::size_t bytes = 0;  // before it had gone
};

struct reader_sink {
  reader* to;
  std::error_code operator()(std::span<const std::byte> bytes) const {
    if (to->is_gone) return std::make_error_code(std::errc::operation_canceled);
    to->bytes += bytes.size();
    return {};
  }
  bool is_wanted() const {
    if (to->wanted_for-- <= 0) to->is_gone = true;
    return !to->is_gone;
  }
};

// Stacks of the same few addresses, no two equal, in no order; counts how often rows are looked at
// after the reader has gone.
class counted_rows final : public snapshots::row_source {
 public:
  explicit counted_rows(instruments::kind k) {
    header_.kind = k;
    header_.name = "counted";
    header_.period = 1;
    rows_.resize(row_count);
    for (std::size_t i = 0; i < row_count; ++i) {
      const std::size_t path = i * 40503 % 65536;
      for (std::size_t bit = 0; bit < depth; ++bit) {
        rows_[i][bit] = 0x500000 + 64 * bit + (path >> bit) % 2 * 16;
      }
    }
  }

  const profile_header& header() const noexcept override { return header_; }
  std::size_t size() const noexcept override { return row_count; }
  tables::frames stack(std::size_t i) const noexcept override {
    count();
    return {rows_[i].data(), depth};
  }
  std::int64_t value(std::size_t i, std::size_t) const noexcept override {
    count();
    return static_cast<std::int64_t>(i * 31 % 1000 + 1);
  }
  profile_row row(std::size_t) const override {
    count();
    return {};
  }

  const reader* for_whom = nullptr;
  mutable std::size_t looks_in_vain = 0;

 private:
  void count() const noexcept { looks_in_vain += for_whom != nullptr && for_whom->is_gone ? 1 : 0; }

  profile_header header_;
  std::vector<std::array<std::uintptr_t, depth>> rows_;
};

// Takes the sink away after 0, 1, 2, 4, 8 ... questions, until the writer comes to its end.
void check_writer(instruments::kind k,
                  const std::function<std::error_code(sink&, const counted_rows&)>& write) {
  counted_rows rows(k);
  int ended_early = 0;
  for (long wanted_for = 0;; wanted_for = wanted_for == 0 ? 1 : 2 * wanted_for) {
    REQUIRE(wanted_for < 1L << 40);
    reader r{wanted_for};
    rows.for_whom = &r;
    rows.looks_in_vain = 0;
    sink out(reader_sink{&r});
    const std::error_code error = sys::catch_error([&] { return write(out, rows); });
    if (!r.is_gone) {
      CHECK_FALSE(error);
      CHECK(r.bytes > 0);
      break;
    }
    CAPTURE(wanted_for);
    CHECK(error == std::errc::operation_canceled);
    // The items between two questions, or those of 64 KiB of text; each is looked at some times.
    CHECK(rows.looks_in_vain <= 16'384);
    ended_early += r.bytes == 0 ? 1 : 0;
  }
  CHECK(ended_early >= 5);  // before the first byte
}

}  // namespace

TEST_CASE("the text of a heap profile ends with its reader") {
  check_writer(instruments::kind::heap, [](sink& out, const counted_rows& rows) {
    return format::text_writer<tools::code>(out).write(rows);
  });
}

TEST_CASE("the text of waits ends with its reader") {
  check_writer(instruments::kind::mutex, [](sink& out, const counted_rows& rows) {
    return format::text_writer<tools::code>(out).write(rows);
  });
}

TEST_CASE("the text of counts ends with its reader") {
  check_writer(instruments::kind::custom, [](sink& out, const counted_rows& rows) {
    return format::text_writer<tools::code>(out).write(rows);
  });
}

TEST_CASE("folded stacks end with their reader") {
  check_writer(instruments::kind::custom, [](sink& out, const counted_rows& rows) {
    return format::write_folded(out, rows, 0);
  });
}

TEST_CASE("JSON ends with its reader") {
  check_writer(instruments::kind::custom, [](sink& out, const counted_rows& rows) {
    return format::json_writer().write(out, rows);
  });
}

TEST_CASE("a profile.proto ends with its reader") {
  profile_row row;
  row.values = {1, 0, 0, 0};
  reader r{3};
  sink out(reader_sink{&r});
  profile_header header;
  header.kind = instruments::kind::custom;
  header.name = "counted";
  format::profile_writer writer(out, std::move(header));
  std::vector<std::uintptr_t> stack(depth, 0x500000);
  row.stack = stack;
  int rows_until_gone = 0;
  for (int i = 0; i < 100'000; ++i) {
    writer.add(row);
    rows_until_gone += r.is_gone ? 0 : 1;
  }
  CHECK(r.is_gone);
  CHECK(rows_until_gone < 4 * 1024);
  CHECK(writer.finish() == std::errc::operation_canceled);
}

TEST_CASE("a sink says whether more is wanted") {
  reader r{1};
  sink out(reader_sink{&r});
  CHECK(out.is_wanted());
  CHECK_FALSE(out.is_wanted());
  std::string text;
  sink plain(text);
  CHECK(plain.is_wanted());
}
