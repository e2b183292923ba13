// SPDX-License-Identifier: Apache-2.0
//
// The body of flamegraph.hpp.
#ifndef WHENCE_IMPL_FLAMEGRAPH_IPP
#define WHENCE_IMPL_FLAMEGRAPH_IPP

#include <whence/config.hpp>

#include <span>
#include <string>
#include <system_error>

#include <whence/flamegraph.hpp>
#include <whence/format/flame_page.hpp>
#include <whence/format/json.hpp>
#include <whence/format/sink.hpp>
#include <whence/snapshots/snapshot.hpp>
#include <whence/sys/catch_error.hpp>

namespace whence::inline v1 {

WHENCE_FUNCTION std::error_code write_flamegraph(sink out, const profile_snapshot& snapshot) {
  return sys::catch_error([&] {
    const std::string begin = format::page_begin(""), end = format::page_end("");
    if (const std::error_code error = out.write(std::as_bytes(std::span(begin)))) return error;
    if (const std::error_code error = format::json_writer().write(out, snapshot)) return error;
    if (const std::error_code error = out.write(std::as_bytes(std::span(end)))) return error;
    return out.finish();
  });
}

}  // namespace whence::inline v1

#endif  // WHENCE_IMPL_FLAMEGRAPH_IPP
