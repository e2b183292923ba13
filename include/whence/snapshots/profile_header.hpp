// SPDX-License-Identifier: Apache-2.0
//
// The header of a live profile's snapshot: its period, the moment, and the comments for the reader:
// the version, what was lost, what cannot be trusted.
#ifndef WHENCE_SNAPSHOTS_PROFILE_HEADER_HPP
#define WHENCE_SNAPSHOTS_PROFILE_HEADER_HPP

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include <whence/core/kinds.hpp>
#include <whence/core/profile.hpp>
#include <whence/snapshots/memory_comments.hpp>
#include <whence/snapshots/snapshot.hpp>
#include <whence/state/current_settings.hpp>
#include <whence/state/process_state.hpp>
#include <whence/sys/clock.hpp>
#include <whence/tables/label_sets.hpp>
#include <whence/tables/losses.hpp>
#include <whence/tables/memory_shares.hpp>
#include <whence/unwind/stop_reason.hpp>
#include <whence/version.hpp>

namespace whence::inline v1::snapshots {

inline std::string memory_in_use(const tables::memory_shares& memory) {
  const auto of = [](std::size_t used, std::size_t limit) {
    return std::to_string(used) + " of " + std::to_string(limit);
  };
  const auto share = [&of](const char* name, const sys::memory_budget& b) {
    return name + of(b.used(), b.limit());
  };
  return "tables use " + of(memory.used(), memory.limit()) + " bytes" +
         share(": stacks ", memory.stacks) + share(", CPU samples ", memory.cpu_samples) +
         share(", wall-clock samples ", memory.wall_samples) +
         share(", live entries ", memory.live) + share(", labels ", memory.labels);
}

inline std::vector<std::string> comments(const state::process_state& s) {
  constexpr std::size_t most_lines = 32;
  std::vector<std::string> lines;
  lines.push_back("whence " + std::to_string(version_major) + "." + std::to_string(version_minor) +
                  "." + std::to_string(version_patch));
  for (int i = 0; i < tables::loss_count; ++i) {
    const std::int64_t n = s.losses.of(static_cast<tables::loss>(i));
    if (n != 0) lines.push_back(std::to_string(n) + " " + tables::loss_texts[i]);
  }
  s.labels.for_each_replaced_key([&lines](std::string_view key, bool is_full) {
    if (lines.size() == most_lines) return;
    lines.push_back(
        is_full ? "label " + std::string(key) + " has " +
                      std::to_string(tables::label_sets::most_values) +
                      " values, all further ones are [other] but for CPU and wall-clock samples"
                : "label " + std::string(key) +
                      " holds its part of the sets: in further ones it is [other] but for CPU and "
                      "wall-clock samples");
  });
  if (s.losses.any()) lines.push_back(memory_in_use(s.budget));
  const unwind::walk_counts& walks = s.unwinder.counts();
  for (int i = 0; i < unwind::stop_reason_count; ++i) {
    const std::int64_t n = walks.of(static_cast<unwind::stop_reason>(i));
    if (n != 0) lines.push_back(std::to_string(n) + " " + unwind::stop_reason_texts[i]);
  }
  if (walks.misses() != 0) {
    lines.push_back(std::to_string(walks.misses()) + " unwind rules were read from .eh_frame");
  }
  if (s.mixed_settings) {
    lines.push_back("translation units were compiled with different settings");
  }
  return lines;
}

inline profile_header header_of(const profile& p, const state::process_state& s) {
  profile_header header;
  header.name = std::string(p.name());
  header.kind = p.kind();
  header.time_ns = sys::wall_time_ns();
  header.comments = comments(s);
  const core::kind_info& kind = core::info(p.kind());
  if (kind.is_scaled) {
    const std::int64_t rate = state::value_of(s, kind.rate.setting);
    header.period = rate > 0 ? rate : 1;
    // A registry's own heap profile is a part of the program by its name.
    const profile& whole = s.of(p.kind());
    if (&p == &whole) add_memory_comments(header.comments, s);
  }
  return header;
}

}  // namespace whence::inline v1::snapshots

#endif  // WHENCE_SNAPSHOTS_PROFILE_HEADER_HPP
