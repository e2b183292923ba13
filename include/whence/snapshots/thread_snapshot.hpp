// SPDX-License-Identifier: Apache-2.0
//
// What is known about each thread of the process, and of each coroutine that is suspended, at one
// moment. Writers and tests read this and nothing else, so neither needs a live thread.
#ifndef WHENCE_SNAPSHOTS_THREAD_SNAPSHOT_HPP
#define WHENCE_SNAPSHOTS_THREAD_SNAPSHOT_HPP

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include <whence/snapshots/snapshot.hpp>
#include <whence/sys/algorithms.hpp>
#include <whence/sys/vector.hpp>
#include <whence/tables/label_sets.hpp>

namespace whence::inline v1::snapshots {

struct thread_state {
  ::pid_t tid = 0;
  bool is_coroutine = false;  // then the number is no thread's
  std::string name;
  std::string state;            // "running", or what it waits in: "futex", "poll"
  std::int64_t waited_ns = -1;  // -1: not known
  std::uint32_t label_set = 0;  // the number of `labels`
  instruments::label_list labels;
  profile_row stack;                           // its frames alone
  std::string note;                            // why the stack is missing or incomplete; else empty
  std::span<const std::uintptr_t> created_at;  // return addresses; empty: not known
};

// Used while a dump is made, when frames are still added.
struct placed_thread {
  thread_state it;
  std::size_t first_frame = 0, depth = 0;  // in the frames of the dump
};

struct dump_parts {
  std::size_t most_frames;              // in one stack
  std::vector<std::uintptr_t>& frames;  // of all stacks, one after the other
  sys::vector<placed_thread>& threads;
};

// A thread that waits for a tracked lock, and the thread that took it last.
struct lock_wait {
  static constexpr std::size_t no_thread = static_cast<std::size_t>(-1);
  std::size_t waiter = no_thread, holder = no_thread;  // places in thread_dump::threads
  std::string lock;                                    // its name; may be empty
  bool may_give_up = false;                            // the wait may time out
  bool is_held = false;                                // by the holder, still
  profile_row taken;                                   // where the holder took it: its frames alone
};

struct thread_dump {
  profile_header header;
  sys::vector<thread_state> threads;  // the calling one first, then as they were made
  sys::vector<lock_wait> waits;
  sys::vector<sys::vector<std::size_t>> deadlocks;            // each a circle: places in `waits`
  std::shared_ptr<const std::vector<std::uintptr_t>> frames;  // which the stacks point into
};

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
    result.header.warnings.push_back(std::to_string(partial) +
                                     " threads have no stack, or not all of it");
  }
  result.memory = std::move(dump.frames);
  return result;
}

}  // namespace whence::inline v1::snapshots

#endif  // WHENCE_SNAPSHOTS_THREAD_SNAPSHOT_HPP
