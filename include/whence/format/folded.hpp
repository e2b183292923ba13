// SPDX-License-Identifier: Apache-2.0
//
// A profile as folded stacks, which flamegraph.pl, speedscope and many others read:
//
//   main;work;std::vector::push_back 4096
//
// One line for each stack, root first, with inlined frames, without the frames that pprof drops
// too; lines are sorted and have one sample type. (B. Gregg)
#ifndef WHENCE_FORMAT_FOLDED_HPP
#define WHENCE_FORMAT_FOLDED_HPP

#include <cstddef>
#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <system_error>
#include <utility>

#include <whence/format/frames.hpp>
#include <whence/format/sink.hpp>
#include <whence/format/text_parts.hpp>
#include <whence/names.hpp>
#include <whence/profile/snapshot.hpp>
#include <whence/symbols/symbolizer.hpp>

namespace whence::inline v1::format {

// `value` is the index of the sample type, `most` the limit of the text in bytes. A longer text is
// file_too_large, and is detected early: lines are kept until all are known, since they are sorted.
// Does not finish the sink. Throws: std::bad_alloc.
template <class = void>
[[nodiscard]] inline std::error_code write_folded(sink& out, const profile_snapshot& snapshot,
                                                  std::size_t value, std::size_t most,
                                                  name_style style = name_style::brief) {
  constexpr std::size_t shortest_end = 3;  // " 1\n"
  shown_frames shown(snapshot, library_leaves::are_shown);
  std::map<std::string, std::int64_t> sums;
  std::size_t size = 0;
  for (const profile_row& row : snapshot.rows) {
    if (row.values[value] == 0) continue;
    std::string stack;
    const std::span<const symbols::frame> frames = shown.of(row);
    for (auto f = frames.rbegin(); f != frames.rend(); ++f) {
      if (!stack.empty()) stack += ';';
      for (const char c : clean(symbols::name_of(*f, style))) stack += c == ';' ? ':' : c;
    }
    const auto [place, is_new] = sums.try_emplace(std::move(stack), 0);
    place->second += row.values[value];
    if (is_new) size += place->first.size() + shortest_end;
    if (size > most) return std::make_error_code(std::errc::file_too_large);
  }
  constexpr std::size_t spill_size = 64 * 1024;
  std::string text;
  for (const auto& [stack, sum] : sums) {
    append(text, stack, " ", sum, "\n");
    if (text.size() < spill_size && &stack != &sums.rbegin()->first) continue;
    if (const std::error_code error = out.write(std::as_bytes(std::span(text)))) return error;
    text.clear();
  }
  return {};
}

}  // namespace whence::inline v1::format

#endif  // WHENCE_FORMAT_FOLDED_HPP
