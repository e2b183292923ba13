// SPDX-License-Identifier: Apache-2.0
//
// The functions with the largest values in a profile, from which write_top makes a table like that
// of `pprof -top`.
//
//       flat  flat%        cum   cum%
//    12.50MB  62.5%    20.00MB 100.0%  shop::add_order
//
// flat is the value of the function itself; cum adds everything it calls, and counts each stack
// once, however deep the function recurses. An inlined function counts like any other. Functions of
// the standard library and of this one that allocate or unlock count for their caller
// (drop_frames.hpp). Not for signal handlers.
#ifndef WHENCE_FORMAT_TOP_HPP
#define WHENCE_FORMAT_TOP_HPP

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include <whence/core/kinds.hpp>
#include <whence/format/frames.hpp>
#include <whence/snapshots/snapshot.hpp>
#include <whence/sys/algorithms.hpp>
#include <whence/sys/flat_index.hpp>
#include <whence/sys/mix64.hpp>
#include <whence/sys/vector.hpp>

namespace whence::inline v1::format {

// Scales the two units like pprof: "12.50MB", "1.20s", "42".
template <class = void>
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
template <class = void>
class basic_function_sums {
 public:
  struct sums {
    std::string_view name;
    std::int64_t flat = 0;
    std::int64_t cumulative = 0;
    std::size_t last_row = 0;
  };

  explicit basic_function_sums(instruments::kind k) : shown_(k, library_leaves::are_hidden) {}

  void add(const profile_row& row, std::int64_t value) {
    ++rows_;
    bool leaf = true;
    const auto count = [&](std::string_view name) {
      sums& s = of(name);
      if (std::exchange(leaf, false)) s.flat += value;
      if (std::exchange(s.last_row, rows_) != rows_) s.cumulative += value;
    };
    for (const symbols::frame& f : shown_.of(row)) count(f.name);
  }

  // The `most` largest functions, sorted by flat, then by cumulative value.
  sys::vector<sums> largest(std::size_t most) && {
    sys::sort(all_, [](const sums& a, const sums& b) {
      return a.flat != b.flat ? a.flat > b.flat : a.cumulative > b.cumulative;
    });
    if (all_.size() > most) all_.resize(most);
    return std::move(all_);
  }

 private:
  sums& of(std::string_view name) {
    const std::uint64_t hash = sys::mix64(std::hash<std::string_view>{}(name));
    std::uint32_t at = index_.find(hash, [&](std::uint32_t i) { return all_[i].name == name; });
    if (at == sys::flat_index::none) {
      at = static_cast<std::uint32_t>(all_.size());
      index_.insert(hash, at);
      all_.push_back({name});
    }
    return all_[at];
  }

  shown_frames shown_;
  sys::vector<sums> all_;
  sys::flat_index index_;
  std::size_t rows_ = 0;
};
using function_sums = basic_function_sums<>;

// The sample type that clients show first: the default one, otherwise the last.
template <class = void>
inline std::size_t shown_value(const core::kind_info& info) {
  std::size_t shown = static_cast<std::size_t>(info.value_count) - 1;
  for (std::size_t i = 0; i <= shown; ++i) {
    if (std::string_view(info.values[i].type) == info.default_sample_type) shown = i;
  }
  return shown;
}

}  // namespace whence::inline v1::format

#endif  // WHENCE_FORMAT_TOP_HPP
