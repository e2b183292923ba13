// SPDX-License-Identifier: Apache-2.0
//
// The kinds of profiles, as far as recording pages distinguish them. core/kinds.hpp says what
// each consists of.
#ifndef WHENCE_INSTRUMENTS_KIND_HPP
#define WHENCE_INSTRUMENTS_KIND_HPP

namespace whence::inline v1::instruments {

enum class kind : unsigned char {
  allocs,
  block,
  goroutine,
  heap,
  mutex,
  mutex_hold,
  threadcreate,
  cpu,
  wall,
  custom
};

inline constexpr int kind_count = 10;

// The names by which programs look them up. The names of cpu and wall are for sessions alone; a
// custom profile has a name of its own.
inline constexpr const char* kind_names[kind_count] = {
    "allocs",     "block",        "goroutine", "heap", "mutex",
    "mutex_hold", "threadcreate", "cpu",       "wall", ""};

// The kind that shows the rows of profiles of `k` in another way; `k` itself if no kind does.
constexpr kind also_shown_as(kind k) noexcept {
  return k == kind::heap ? kind::allocs : k;
}
// The kind of the profile that the rows of `k` are.
constexpr kind rows_of(kind k) noexcept {
  return k == kind::allocs ? kind::heap : k;
}

// True if a custom profile may not have this name, because it is empty, is the name of a predefined
// profile, or is "thread", by which `goroutine` is found too.
constexpr bool is_predefined(const char* name) noexcept {
  const auto equal = [name](const char* other) {
    int i = 0;
    while (name[i] == other[i] && name[i] != '\0') ++i;
    return name[i] == other[i];
  };
  for (const char* const taken : kind_names) {
    if (equal(taken)) return true;
  }
  return equal("thread");
}

}  // namespace whence::inline v1::instruments

#endif  // WHENCE_INSTRUMENTS_KIND_HPP
