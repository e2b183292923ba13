// SPDX-License-Identifier: Apache-2.0
//
// The profiler that bench/cpu_profile.cpp is linked with: bench/cpu_by_whence.cpp,
// cpu_by_gperftools.cpp or cpu_by_none.cpp.
#ifndef WHENCE_BENCH_CPU_PROFILER_HPP
#define WHENCE_BENCH_CPU_PROFILER_HPP

namespace profiler {

// Profiles all threads into the file `out`, with `hz` samples a second of CPU time. False if it
// cannot; then the cause is on stderr.
bool start(int hz, const char* out);

// Ends the profile; returns after it is written.
void stop();

}  // namespace profiler

#endif  // WHENCE_BENCH_CPU_PROFILER_HPP
