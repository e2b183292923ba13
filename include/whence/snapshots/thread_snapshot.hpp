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
#include <vector>

#include <whence/snapshots/snapshot.hpp>
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

}  // namespace whence::inline v1::snapshots

#endif  // WHENCE_SNAPSHOTS_THREAD_SNAPSHOT_HPP
