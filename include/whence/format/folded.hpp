// SPDX-License-Identifier: Apache-2.0
//
// A profile as folded stacks, which flamegraph.pl, speedscope and many others read:
//
//   main;work();std::vector<int>::push_back(int&&) 4096
//
// A line for each stack, root first, inlined frames included, sorted; one sample type. (B. Gregg)
#ifndef WHENCE_FORMAT_FOLDED_HPP
#define WHENCE_FORMAT_FOLDED_HPP

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include <whence/format/frames.hpp>
#include <whence/format/process_code.hpp>
#include <whence/format/text_parts.hpp>
#include <whence/profile/snapshot.hpp>

namespace whence::inline v1::format {

// `value`: the place of the sample type. Throws: std::bad_alloc.
inline std::string folded(const profile_snapshot& snapshot, std::size_t value) {
  const process_code code;
  std::map<std::string, std::int64_t> sums;
  std::vector<std::string_view> names;
  for (const profile_row& row : snapshot.rows) {
    if (row.values[value] == 0) continue;
    names.clear();
    for_each_frame(code, row, [&](const symbols::frame& f, bool) { names.push_back(f.name); });
    std::string stack;
    for (auto name = names.rbegin(); name != names.rend(); ++name) {
      if (!stack.empty()) stack += ';';
      for (const char c : clean(*name)) stack += c == ';' ? ':' : c;
    }
    sums[stack] += row.values[value];
  }
  std::string text;
  for (const auto& [stack, sum] : sums) append(text, stack, " ", sum, "\n");
  return text;
}

}  // namespace whence::inline v1::format

#endif  // WHENCE_FORMAT_FOLDED_HPP
