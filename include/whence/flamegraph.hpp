// SPDX-License-Identifier: Apache-2.0
//
// A profile as one HTML file that shows its flame graph in any browser, without a network:
//
//   if (auto error = whence::write_flamegraph("heap.html", whence::lookup("heap")->snapshot())) ...
//
// Click or Enter zooms in, Escape zooms out, / searches. The page is also what /debug/pprof/ui
// serves. whence.hpp does not include it, because of its size. Thread-safe; not for signal
// handlers.
#ifndef WHENCE_FLAMEGRAPH_HPP
#define WHENCE_FLAMEGRAPH_HPP

#include <whence/config.hpp>

#include <system_error>

#include <whence/format/sink.hpp>
#include <whence/snapshots/snapshot.hpp>

namespace whence::inline v1 {

// Writes the page that shows the snapshot. Returns the error of the write.
[[nodiscard]] std::error_code write_flamegraph(sink out, const profile_snapshot& snapshot);

}  // namespace whence::inline v1

#ifndef WHENCE_COMPILED
#include <whence/impl/flamegraph.ipp>
#endif

#endif  // WHENCE_FLAMEGRAPH_HPP
