// SPDX-License-Identifier: Apache-2.0
//
// A table of the functions with the most in a profile, for a terminal: what `pprof -top` shows.
//
//       flat  flat%        cum   cum%
//    12.50MB  62.5%    20.00MB 100.0%  std::vector<int>::push_back(int&&)
//
// flat: in the function itself; cum: in it and in all it calls, each stack counted once however
// deep the function recurses. An inlined function is one like any other. Not for signal handlers.
#ifndef WHENCE_FORMAT_TOP_HPP
#define WHENCE_FORMAT_TOP_HPP

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <span>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include <whence/format/frames.hpp>
#include <whence/format/process_code.hpp>
#include <whence/format/sink.hpp>
#include <whence/profile/kinds.hpp>
#include <whence/profile/snapshot.hpp>
#include <whence/sys/as_error.hpp>
#include <whence/sys/flat_index.hpp>
#include <whence/sys/sequence.hpp>
#include <whence/sys/spread.hpp>

namespace whence::inline v1 {

namespace format {

// "12.50MB", "1.20s", "42": as pprof scales the two units.
inline std::string human(std::int64_t value, std::string_view unit) {
  struct step {
    double size;
    const char* name;
  };
  static constexpr std::array<step, 4> bytes{
      {{1 << 30, "GB"}, {1 << 20, "MB"}, {1 << 10, "kB"}, {1, "B"}}};
  static constexpr std::array<step, 4> nanoseconds{
      {{1e9, "s"}, {1e6, "ms"}, {1e3, "us"}, {1, "ns"}}};
  if (unit == "count") return std::to_string(value);
  std::array<char, 48> text;
  for (const step& s : unit == "bytes" ? bytes : nanoseconds) {
    const double scaled = static_cast<double>(value) / s.size;
    if (scaled < 1 && s.size > 1) continue;
    std::snprintf(text.data(), text.size(), s.size > 1 ? "%.2f%s" : "%.0f%s", scaled, s.name);
    break;
  }
  return text.data();
}

// The sums of each function, by name.
class function_sums {
 public:
  struct sums {
    std::string_view name;
    std::int64_t flat = 0;
    std::int64_t cumulative = 0;
    std::size_t last_row = 0;
  };

  void add(const profile_row& row, std::int64_t value) {
    ++rows_;
    bool leaf = true;
    const auto count = [&](std::string_view name) {
      sums& s = of(name);
      if (std::exchange(leaf, false)) s.flat += value;
      if (std::exchange(s.last_row, rows_) != rows_) s.cumulative += value;
    };
    for_each_frame(code_, row, [&](const symbols::frame& f, bool) { count(f.name); });
  }

  // The `most` largest, by flat and then by cumulative value.
  std::vector<sums> largest(std::size_t most) && {
    sys::sort(all_, [](const sums& a, const sums& b) {
      return a.flat != b.flat ? a.flat > b.flat : a.cumulative > b.cumulative;
    });
    if (all_.size() > most) all_.resize(most);
    return std::move(all_);
  }

 private:
  sums& of(std::string_view name) {
    const std::uint64_t hash = sys::spread(std::hash<std::string_view>{}(name));
    std::uint32_t at = index_.find(hash, [&](std::uint32_t i) { return all_[i].name == name; });
    if (at == sys::flat_index::none) {
      at = static_cast<std::uint32_t>(all_.size());
      index_.insert(hash, at);
      all_.push_back({name});
    }
    return all_[at];
  }

  const process_code code_;
  std::vector<sums> all_;
  sys::flat_index index_;
  std::size_t rows_ = 0;
};

// The sample type that clients show first: the default one, else the last.
inline std::size_t shown_value(const core::kind_info& info) {
  std::size_t shown = static_cast<std::size_t>(info.value_count) - 1;
  for (std::size_t i = 0; i <= shown; ++i) {
    if (std::string_view(info.values[i].type) == info.default_sample_type) shown = i;
  }
  return shown;
}

}  // namespace format

// Writes the `most` functions with the most of the snapshot's first sample type. The write's error
// is returned.
[[nodiscard]] inline std::error_code write_top(sink out, const profile_snapshot& snapshot,
                                               std::size_t most = 10) {
  return sys::as_error([&] {
    const core::kind_info& info = core::info(snapshot.header.kind);
    const std::size_t shown = format::shown_value(info);
    const std::string_view unit = info.values[shown].unit;
    format::function_sums functions;
    std::int64_t total = 0;
    for (const profile_row& row : snapshot.rows) {
      if (row.values[shown] == 0) continue;
      total += row.values[shown];
      functions.add(row, row.values[shown]);
    }
    const auto share = [total](std::int64_t value) {
      return total == 0 ? 0.0 : 100 * static_cast<double>(value) / static_cast<double>(total);
    };
    std::string table = "      flat  flat%        cum   cum%\n";
    for (const auto& f : std::move(functions).largest(most)) {
      std::array<char, 64> line;
      std::snprintf(line.data(), line.size(), "%10s %5.1f%% %10s %5.1f%%  ",
                    format::human(f.flat, unit).c_str(), share(f.flat),
                    format::human(f.cumulative, unit).c_str(), share(f.cumulative));
      table += line.data() + std::string(f.name) + "\n";
    }
    if (const std::error_code error = out.write(std::as_bytes(std::span(table)))) return error;
    return out.finish();
  });
}

}  // namespace whence::inline v1

#endif  // WHENCE_FORMAT_TOP_HPP
