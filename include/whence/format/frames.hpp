// SPDX-License-Identifier: Apache-2.0
//
// The functions of a row's stack, leaf first, those inlined into others included.
#ifndef WHENCE_FORMAT_FRAMES_HPP
#define WHENCE_FORMAT_FRAMES_HPP

#include <cstddef>
#include <cstdint>

#include <whence/format/process_code.hpp>
#include <whence/format/profile_writer.hpp>
#include <whence/profile/pseudo_frames.hpp>
#include <whence/profile/snapshot.hpp>

namespace whence::inline v1::format {

// Calls visit(const symbols::frame&, bool inlined), once at least.
template <class Visit>
void for_each_frame(const process_code& code, const profile_row& row, Visit visit) {
  const auto visit_pseudo = [&visit](std::uintptr_t address) {
    visit(symbols::frame{core::pseudo_name(address), {}, {}, 0, 0, 0}, false);
  };
  for (std::size_t i = 0; i < row.stack.size(); ++i) {
    const std::uintptr_t address = lookup_address(row, i);
    if (core::is_pseudo(address)) {
      visit_pseudo(address);
      continue;
    }
    const std::span<const symbols::frame> frames = code.resolve(address).frames;
    for (const symbols::frame& f : frames) visit(f, &f != &frames.back());
  }
  if (row.truncated) visit_pseudo(core::truncated_frame);
  if (row.stack.empty()) visit_pseudo(core::unknown_frame);
}

}  // namespace whence::inline v1::format

#endif  // WHENCE_FORMAT_FRAMES_HPP
