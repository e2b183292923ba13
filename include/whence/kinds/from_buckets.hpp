// SPDX-License-Identifier: Apache-2.0
//
// How a profile is read whose rows are its buckets: as most kinds are.
#ifndef WHENCE_KINDS_FROM_BUCKETS_HPP
#define WHENCE_KINDS_FROM_BUCKETS_HPP

#include <atomic>
#include <cstddef>
#include <system_error>

#include <whence/core/profile.hpp>
#include <whence/format/profile_writer.hpp>
#include <whence/format/sink.hpp>
#include <whence/format/text.hpp>
#include <whence/format/wanted.hpp>
#include <whence/names.hpp>
#include <whence/snapshots/copy.hpp>
#include <whence/snapshots/profile_header.hpp>
#include <whence/snapshots/row_source.hpp>
#include <whence/snapshots/rows.hpp>
#include <whence/snapshots/snapshot.hpp>
#include <whence/state/process_state.hpp>
#include <whence/sys/catch_error.hpp>

namespace whence::inline v1::kinds {

// The functions behind profile::count, snapshot and write_to. `caller` is the return address of the
// function that a program called. Those that return rows throw std::bad_alloc.
template <class = void>
struct basic_from_buckets {
  static std::size_t count(const profile& p) noexcept {
    return p.rows().size.load(std::memory_order_relaxed);
  }

  static profile_snapshot snapshot(state::process_state& s, const profile& p, const void*) {
    return snapshots::copy_of(s, p);
  }

  static std::error_code write(state::process_state& s, const profile& p, sink& out, int debug,
                               write_options options, const void*) {
    if (debug <= 0) return write_proto(s, p, out, options);
    return sys::catch_error([&] {
      const auto all = [](const profile_row&) { return true; };
      const snapshots::live_rows rows(s, p, snapshots::values_in_text(p.kind()), all,
                                      format::check_of(out));
      return format::write_text(out, rows, options);
    });
  }

  static std::error_code write_proto(state::process_state& s, const profile& p, sink& out,
                                     write_options options = {}) {
    format::profile_writer writer(out, snapshots::header_of(p, s), {}, options);
    // The writer itself checks whether its sink wants more.
    snapshots::for_each_row(s, p, [&](const profile_row& row) { writer.add(row); });
    return writer.finish();
  }
};

using from_buckets = basic_from_buckets<>;

}  // namespace whence::inline v1::kinds

#endif  // WHENCE_KINDS_FROM_BUCKETS_HPP
