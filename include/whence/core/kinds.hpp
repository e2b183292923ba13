// SPDX-License-Identifier: Apache-2.0
//
// What each kind of profile is made of: one row per kind, to be compared with Go's runtime/pprof
// (src/runtime/pprof/pprof.go, protomem.go) line by line. Adding a kind adds a row; if its profiles
// are read in a way of their own, a file in kinds/ as well. No other file compares kinds.
#ifndef WHENCE_CORE_KINDS_HPP
#define WHENCE_CORE_KINDS_HPP

#include <whence/instruments/kind.hpp>
#include <whence/instruments/settings_table.hpp>

namespace whence::inline v1::core {

// A sample type of profile.proto. An empty type stands for the name of a custom profile.
struct value_type {
  const char* type = nullptr;
  const char* unit = nullptr;
};

// How many events make one sample. Without a unit, every event is recorded.
struct sampling_rate {
  instruments::setting setting{};
  const char* unit = nullptr;
};

// Go's text form of a kind.
enum class text_form : char { counts, heap, contention, mutex };

// What records the events: its frames are above the program's own.
enum class instrument : char { none, allocator, lock, entry };

inline constexpr int max_values = 4;

struct kind_info {
  const char* name = "";  // of the predefined profile; empty for custom
  const char* description = "";
  int value_count = 0;
  int sum_count = 0;  // how many values, the first ones, only grow; 0: it has no delta_
  value_type values[max_values]{};
  value_type period_type{};
  const char* default_sample_type = "";  // empty: clients show the last one
  value_type number{};                   // the numeric label, if it has one

  sampling_rate rate{};
  text_form text = text_form::counts;
  instrument recorded_by = instrument::none;
  bool is_scaled = false;        // its counters are those of samples (counters.hpp)
  bool has_open_waits = false;   // waits that go on count
  bool is_dump = false;          // taken when it is read: it has no buckets, and debug=2
  bool is_for_sessions = false;  // no lookup by name finds it
};

// heap and allocs differ in what clients show first.
constexpr kind_info memory_kind(const char* name, const char* description, const char* shown) {
  return {.name = name,
          .description = description,
          .value_count = 4,
          .sum_count = 2,
          .values = {{"alloc_objects", "count"},
                     {"alloc_space", "bytes"},
                     {"inuse_objects", "count"},
                     {"inuse_space", "bytes"}},
          .period_type = {"space", "bytes"},
          .default_sample_type = shown,
          .number = {"bytes", "bytes"},
          .rate = {instruments::setting::heap_rate, "bytes"},
          .text = text_form::heap,
          .recorded_by = instrument::allocator,
          .is_scaled = true};
}

constexpr kind_info contention_kind(const char* name, const char* description) {
  return {.name = name,
          .description = description,
          .value_count = 2,
          .sum_count = 2,
          .values = {{"contentions", "count"}, {"delay", "nanoseconds"}},
          .period_type = {"contentions", "count"}};
}

constexpr kind_info block_kind() {
  kind_info k =
      contention_kind("block", "Stack traces that led to blocking on synchronization primitives");
  k.rate = {instruments::setting::block_rate, "nanoseconds"};
  k.text = text_form::contention;
  k.has_open_waits = true;
  return k;
}

constexpr kind_info mutex_kind() {
  kind_info k = contention_kind("mutex", "Stack traces of holders of contended mutexes");
  k.number = {"delay", "nanoseconds"};
  k.rate = {instruments::setting::mutex_fraction, "count"};
  k.text = text_form::mutex;
  k.recorded_by = instrument::lock;
  return k;
}

constexpr kind_info count_kind(const char* name, const char* description) {
  return {.name = name,
          .description = description,
          .value_count = 1,
          .values = {{name, "count"}},
          .period_type = {name, "count"}};
}

constexpr kind_info goroutine_kind() {
  kind_info k = count_kind("goroutine", "Stack traces of all current threads");
  k.is_dump = true;
  return k;
}

constexpr kind_info custom_kind() {
  kind_info k = count_kind("", "");
  k.recorded_by = instrument::entry;
  return k;
}

// Samples of threads, by time.
constexpr kind_info time_kind(const char* name, const char* description, const char* value,
                              const char* period) {
  return {.name = name,
          .description = description,
          .value_count = 2,
          .values = {{"samples", "count"}, {value, "nanoseconds"}},
          .period_type = {period, "nanoseconds"},
          .default_sample_type = value,
          .is_for_sessions = true};
}

inline constexpr kind_info kinds[instruments::kind_count] = {
    memory_kind("allocs", "A sampling of all past memory allocations", "alloc_space"),
    block_kind(),
    goroutine_kind(),
    memory_kind("heap", "A sampling of memory allocations of live objects", "inuse_space"),
    mutex_kind(),
    {.name = "mutex_hold",
     .description = "A sampling of how long mutexes were held",
     .value_count = 2,
     .sum_count = 2,
     .values = {{"holds", "count"}, {"hold", "nanoseconds"}},
     .period_type = {"holds", "count"},
     .rate = {instruments::setting::hold_rate, "count"},
     .recorded_by = instrument::lock},
    count_kind("threadcreate", "Stack traces that led to the creation of new OS threads"),
    time_kind("cpu", "Stack traces of threads on the CPU, by time", "cpu", "cpu"),
    // It has fgprof's names.
    time_kind("wall", "Stack traces of all threads, running or waiting, by time", "time",
              "wallclock"),
    custom_kind(),
};

constexpr const kind_info& info(instruments::kind k) {
  return kinds[static_cast<int>(k)];
}

inline constexpr int longest_name = [] {
  int longest = 0;
  for (const kind_info& k : kinds) {
    int length = 0;
    while (k.name[length] != '\0') ++length;
    longest = length > longest ? length : longest;
  }
  return longest;
}();

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
