// SPDX-License-Identifier: Apache-2.0
//
// The functions of a row's stack, leaf first, with those inlined into others: all of them, or those
// that are left without plumbing.
#ifndef WHENCE_FORMAT_FRAMES_HPP
#define WHENCE_FORMAT_FRAMES_HPP

#include <cstddef>
#include <cstdint>
#include <span>

#include <whence/core/kinds.hpp>
#include <whence/format/drop_frames.hpp>
#include <whence/format/lookup.hpp>
#include <whence/format/process_code.hpp>
#include <whence/snapshots/snapshot.hpp>
#include <whence/sys/vector.hpp>
#include <whence/tables/bucket.hpp>
#include <whence/tables/pseudo_frame.hpp>

namespace whence::inline v1::format {

// Calls visit(const symbols::frame&, bool inlined) at least once.
template <class Visit>
void for_each_frame(const process_code& code, const profile_row& row, Visit visit) {
  const tables::frames s{row.stack.data(), row.stack.size(), row.truncated, row.leaf_is_ip};
  for (std::size_t i = 0; i < written_depth(s); ++i) {
    const std::uintptr_t address = written_address(s, i);
    if (tables::is_pseudo(address)) {
      visit(symbols::frame{tables::pseudo_name(address), {}, {}, 0, 0, 0}, false);
      continue;
    }
    const std::span<const symbols::frame> frames = code.resolve(address).frames;
    for (const symbols::frame& f : frames) visit(f, &f != &frames.back());
  }
}

template <class = void>
class basic_shown_frames {
 public:
  // `k`: the kind of profile.
  basic_shown_frames(instruments::kind k, library_leaves leaves) : kind_(k), leaves_(leaves) {}
  // For all rows of a snapshot, whose addresses are looked up together. Throws: std::bad_alloc.
  basic_shown_frames(const profile_snapshot& snapshot, library_leaves leaves)
      : basic_shown_frames(snapshot.header.kind, leaves) {
    look_up_in_order(code_, snapshot);
  }

  // The frames without those dropped or hidden; never empty. Valid until the next call.
  std::span<const symbols::frame> of(const profile_row& row) {
    frames_.clear();
    for_each_frame(code_, row, [this](const symbols::frame& f, bool) { frames_.push_back(f); });
    const std::size_t first =
        first_shown(kind_, frames_, leaves_, [](const symbols::frame& f) { return f.name; });
    return std::span<const symbols::frame>(frames_).subspan(first);
  }

 private:
  const process_code code_;
  const instruments::kind kind_;
  const library_leaves leaves_;
  sys::vector<symbols::frame> frames_;
};
using shown_frames = basic_shown_frames<>;

}  // namespace whence::inline v1::format

#endif  // WHENCE_FORMAT_FRAMES_HPP
