// SPDX-License-Identifier: Apache-2.0
//
// What each kind of profile is made of: one row per kind, to be compared with Go's runtime/pprof
// (src/runtime/pprof/pprof.go, protomem.go) line by line. Adding a kind adds a row.
#ifndef WHENCE_CORE_KINDS_HPP
#define WHENCE_CORE_KINDS_HPP

#include <whence/instruments/kind.hpp>

namespace whence::inline v1::core {

// A sample type of profile.proto. An empty type stands for the name of a custom profile.
struct value_type {
  const char* type = nullptr;
  const char* unit = nullptr;
};

inline constexpr int max_values = 4;

struct kind_info {
  const char* name;  // of the predefined profile; empty for custom
  const char* description;
  int value_count;
  value_type values[max_values];
  value_type period_type;
  const char* default_sample_type;  // empty: clients show the last one
  value_type number;                // the numeric label, if it has one
};

// heap and allocs differ in what clients show first.
constexpr kind_info memory_kind(const char* name, const char* description, const char* shown) {
  return {name,
          description,
          4,
          {{"alloc_objects", "count"},
           {"alloc_space", "bytes"},
           {"inuse_objects", "count"},
           {"inuse_space", "bytes"}},
          {"space", "bytes"},
          shown,
          {"bytes", "bytes"}};
}

constexpr kind_info contention_kind(const char* name, const char* description, value_type number) {
  return {name,
          description,
          2,
          {{"contentions", "count"}, {"delay", "nanoseconds"}},
          {"contentions", "count"},
          "",
          number};
}

constexpr kind_info count_kind(const char* name, const char* description) {
  return {name, description, 1, {{name, "count"}}, {name, "count"}, "", {}};
}

inline constexpr kind_info kinds[instruments::kind_count] = {
    memory_kind("allocs", "A sampling of all past memory allocations", "alloc_space"),
    contention_kind("block", "Stack traces that led to blocking on synchronization primitives", {}),
    count_kind("goroutine", "Stack traces of all current threads"),
    memory_kind("heap", "A sampling of memory allocations of live objects", "inuse_space"),
    contention_kind("mutex", "Stack traces of holders of contended mutexes",
                    {"delay", "nanoseconds"}),
    {"mutex_hold",
     "A sampling of how long mutexes were held",
     2,
     {{"holds", "count"}, {"hold", "nanoseconds"}},
     {"holds", "count"},
     "",
     {}},
    count_kind("threadcreate", "Stack traces that led to the creation of new OS threads"),
    // Only sessions use these; no lookup by name finds them. (The second has fgprof's name.)
    {"cpu",
     "Stack traces of threads on the CPU, by time",
     2,
     {{"samples", "count"}, {"cpu", "nanoseconds"}},
     {"cpu", "nanoseconds"},
     "cpu",
     {}},
    {"wall",
     "Stack traces of all threads, running or waiting, by time",
     2,
     {{"samples", "count"}, {"time", "nanoseconds"}},
     {"wallclock", "nanoseconds"},
     "time",
     {}},
    count_kind("", ""),
};

constexpr const kind_info& info(instruments::kind k) {
  return kinds[static_cast<int>(k)];
}

// Recording pages know only the names (instruments/kind.hpp).
static_assert([] {
  for (int k = 0; k < instruments::kind_count; ++k) {
    for (int i = 0; kinds[k].name[i] != '\0' || instruments::kind_names[k][i] != '\0'; ++i) {
      if (kinds[k].name[i] != instruments::kind_names[k][i]) return false;
    }
  }
  return true;
}());

}  // namespace whence::inline v1::core

#endif  // WHENCE_CORE_KINDS_HPP
