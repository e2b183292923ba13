// SPDX-License-Identifier: Apache-2.0
//
// A copy of the rows of a live profile that has buckets.
#ifndef WHENCE_SNAPSHOTS_COPY_HPP
#define WHENCE_SNAPSHOTS_COPY_HPP

#include <whence/core/profile.hpp>
#include <whence/snapshots/profile_header.hpp>
#include <whence/snapshots/rows.hpp>
#include <whence/snapshots/snapshot.hpp>
#include <whence/state/process_state.hpp>
#include <whence/sys/work_check.hpp>

namespace whence::inline v1::snapshots {

// Throws: std::bad_alloc, and as the check.
inline profile_snapshot copy_of(const state::process_state& s, const profile& p,
                                sys::work_check check = {}) {
  profile_snapshot result;
  result.header = header_of(p, s);
  for_each_row(
      s, p, [&](const profile_row& row) { result.rows.push_back(row); }, check);
  return result;
}

}  // namespace whence::inline v1::snapshots

#endif  // WHENCE_SNAPSHOTS_COPY_HPP
