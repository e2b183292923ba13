// SPDX-License-Identifier: Apache-2.0
//
// The threads of a dump as the rows of `goroutine`: those with one stack and the same labels make
// one row.
#ifndef WHENCE_SNAPSHOTS_THREAD_GROUPS_HPP
#define WHENCE_SNAPSHOTS_THREAD_GROUPS_HPP

#include <cstddef>
#include <cstdint>
#include <span>
#include <utility>

#include <whence/snapshots/snapshot.hpp>
#include <whence/snapshots/thread_snapshot.hpp>
#include <whence/sys/sequence.hpp>
#include <whence/sys/vector.hpp>

namespace whence::inline v1::snapshots {

// Below 0, 0 or above 0 if a comes before b, equals b or follows it, in an order in which only
// equal rows are equal.
template <class = void>
inline int compare_rows(const thread_state& a, const thread_state& b) noexcept {
  const auto by = [](auto x, auto y) { return x < y ? -1 : y < x ? 1 : 0; };
  const std::span<const std::uintptr_t> x = a.stack.stack;
  const std::span<const std::uintptr_t> y = b.stack.stack;
  if (const int c = by(x.size(), y.size())) return c;
  for (std::size_t i = 0; i < x.size(); ++i) {
    if (const int c = by(x[i], y[i])) return c;
  }
  if (const int c = by(a.label_set, b.label_set)) return c;
  if (const int c = by(a.stack.leaf_is_ip, b.stack.leaf_is_ip)) return c;
  return by(a.stack.truncated, b.stack.truncated);
}

// Throws: std::bad_alloc.
template <class = void>
inline profile_snapshot grouped(thread_dump dump) {
  sys::vector<const thread_state*> threads;
  for (const thread_state& t : dump.threads) threads.push_back(&t);
  sys::sort(threads,
            [](const thread_state* a, const thread_state* b) { return compare_rows(*a, *b) < 0; });
  profile_snapshot result;
  for (std::size_t i = 0; i < threads.size(); ++i) {
    if (i == 0 || compare_rows(*threads[i - 1], *threads[i]) != 0) {
      result.rows.push_back(threads[i]->stack);
    } else {
      profile_row& row = result.rows.back();
      ++row.values[0];
      ++row.raw[0];
    }
  }
  std::size_t partial = 0;
  for (const thread_state& t : dump.threads) partial += t.note.empty() ? 0 : 1;
  result.header = std::move(dump.header);
  if (partial > 0) {
    result.header.comments.push_back(std::to_string(partial) +
                                     " threads have no stack, or not all of it");
  }
  result.memory = std::move(dump.frames);
  return result;
}

}  // namespace whence::inline v1::snapshots

#endif  // WHENCE_SNAPSHOTS_THREAD_GROUPS_HPP
