// SPDX-License-Identifier: Apache-2.0
//
// Writes a profile, or a snapshot of one, as a request's parameters say (http/render_options.hpp).
#ifndef WHENCE_HTTP_RENDER_HPP
#define WHENCE_HTTP_RENDER_HPP

#include <cstddef>
#include <string_view>
#include <system_error>
#include <utility>

#include <whence/core/kinds.hpp>
#include <whence/core/profile.hpp>
#include <whence/format/folded.hpp>
#include <whence/format/json.hpp>
#include <whence/format/profile_writer.hpp>
#include <whence/format/sink.hpp>
#include <whence/format/text.hpp>
#include <whence/format/top.hpp>
#include <whence/format/wanted.hpp>
#include <whence/http/render_options.hpp>
#include <whence/http/request.hpp>
#include <whence/http/responses.hpp>
#include <whence/profile.hpp>
#include <whence/snapshots/copy.hpp>
#include <whence/snapshots/row_source.hpp>
#include <whence/snapshots/snapshot.hpp>
#include <whence/state/attach.hpp>
#include <whence/state/process_state.hpp>
#include <whence/sys/algorithms.hpp>
#include <whence/sys/work_check.hpp>

namespace whence::inline v1::http {

// The head of the answer; `name` is the file's.
inline response_head head_of(const render_options& how, std::string_view name) {
  switch (how.as) {
    case form::folded:
    case form::text:
      return head_of_type(plain_text);
    case form::json:
      return head_of_type("application/json");
    case form::pprof:
      break;
  }
  return head_of_attachment(name);
}

inline snapshots::shown_values shown_by(form as, instruments::kind k) {
  return as == form::text ? snapshots::values_in_text(k) : snapshots::shown_values::scaled;
}

// Writes every form but pprof.
inline std::error_code render_rows(sink& out, const snapshots::row_source& rows,
                                   const render_options& how) {
  if (how.as == form::text) return format::write_text(out, rows, how.written);
  if (how.as == form::json) return format::json_writer(how.written.names).write(out, rows);
  const instruments::kind kind = rows.header().kind;
  const int asked = how.sample_type.empty() ? -1 : how.index_of_type(kind, rows.header().name);
  const std::size_t shown = format::shown_value(core::info(kind));
  return format::write_folded(out, rows, asked < 0 ? shown : static_cast<std::size_t>(asked),
                              how.written.names);
}

// The rows of now, without names. Throws: std::bad_alloc, and as the check.
inline profile_snapshot snapshot_of(const profile& p, sys::work_check check) {
  // A dump is not long: it has a row for each thread.
  if (core::info(p.kind()).is_dump) return p.snapshot();
  return snapshots::copy_of(state::attached(), p, check);
}

// Throws: std::bad_alloc.
inline std::error_code render(sink& out, profile_snapshot snapshot, const render_options& how) {
  if (!how.labels.empty()) {
    sys::work_check check = format::check_of(out);
    sys::erase_if(snapshot.rows, [&](const profile_row& row) {
      check.step();
      return !how.keeps(row);
    });
  }
  if (how.as == form::pprof) return format::write_proto(out, snapshot, how.written, how.inlined);
  const snapshots::shown_values which = shown_by(how.as, snapshot.header.kind);
  return render_rows(out, snapshots::snapshot_rows(snapshot, which), how);
}

// Writes what the profile says now, without a copy of the rows if possible. Throws: std::bad_alloc.
inline std::error_code render(sink& out, const profile& p, const render_options& how) {
  const bool is_plain = how.labels.empty() && how.inlined == format::inlined_frames::together;
  if (how.as == form::pprof && is_plain) return p.write_to(std::move(out), 0, how.written);
  const bool is_dump = core::info(p.kind()).is_dump;
  if (how.as == form::text && how.debug > 1 && is_dump) {
    return p.write_to(std::move(out), 2, how.written);
  }
  const sys::work_check check = format::check_of(out);
  if (how.as == form::pprof || is_dump) return render(out, snapshot_of(p, check), how);
  const auto keep = [&how](const profile_row& row) { return how.keeps(row); };
  return render_rows(
      out, snapshots::live_rows(state::attached(), p, shown_by(how.as, p.kind()), keep, check),
      how);
}

}  // namespace whence::inline v1::http

#endif  // WHENCE_HTTP_RENDER_HPP
