// SPDX-License-Identifier: Apache-2.0
//
// Profiles by name: look them up, make your own, write them.
//
//   whence::profile& files = whence::new_profile("app.files");
//   files.add(fd);  ...  files.remove(fd);
//   if (auto error = whence::lookup("heap")->write_to("heap.pb.gz")) ...
//
//   $ go tool pprof -top heap.pb.gz
//
// Predefined:
//   allocs        a sampling of all past memory allocations
//   block         stack traces that led to blocking on synchronization primitives
//   goroutine     stack traces of all current threads; also as "thread"
//   heap          a sampling of memory allocations of live objects
//   mutex         stack traces of holders of contended mutexes
//   threadcreate  stack traces that led to the creation of new OS threads
//
// A name is a string without spaces, by convention with a prefix: "app.sessions". Everything here
// is thread-safe and concurrent with recording; nothing is for signal handlers. (Go: runtime/pprof)
#ifndef WHENCE_PROFILE_PAGE_HPP
#define WHENCE_PROFILE_PAGE_HPP

#include <whence/config.hpp>

#include <cstddef>
#include <string>
#include <string_view>
#include <system_error>
#include <vector>

#include <whence/core/profile.hpp>
#include <whence/format/sink.hpp>
#include <whence/knobs.hpp>
#include <whence/names.hpp>
#include <whence/snapshots/snapshot.hpp>

namespace whence::inline v1 {

// The profile of that name; nullptr if no profile has it.
profile* lookup(std::string_view name) noexcept;

// Every profile, sorted by name.
std::vector<profile*> profiles();

// Makes a custom profile, which lives as long as the process.
// Throws: std::invalid_argument if the name is empty or in use; std::bad_alloc.
profile& new_profile(std::string name, std::string description = {});

// Writes `heap` as debug 0 does. (Go: pprof.WriteHeapProfile)
WHENCE_LAZY [[nodiscard]] std::error_code write_heap_profile(sink out);

// Writes a table of the `most` functions that have the most of the snapshot's first sample type.
// The program's own functions come first: containers, and functions that only allocate or unlock,
// count for their callers. Returns the error of the write.
WHENCE_LAZY [[nodiscard]] std::error_code write_top(sink out, const profile_snapshot& snapshot,
                                                    std::size_t most = 10);

}  // namespace whence::inline v1

#ifndef WHENCE_COMPILED
#include <whence/impl/profile.ipp>
#endif

#endif  // WHENCE_PROFILE_PAGE_HPP
