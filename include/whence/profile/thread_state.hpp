// SPDX-License-Identifier: Apache-2.0
//
// What is known of each thread of the process, and of each coroutine that is suspended, at one
// moment. Writers and tests read this and
// nothing else, so neither needs a live thread.
#ifndef WHENCE_PROFILE_THREAD_STATE_HPP
#define WHENCE_PROFILE_THREAD_STATE_HPP

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include <whence/profile/snapshot.hpp>
#include <whence/stack/label_sets.hpp>

namespace whence::inline v1::core {

struct thread_state {
  ::pid_t tid = 0;
  bool is_coroutine = false;  // then the number is no thread's
  std::string name;
  std::string state;            // "running", or what it waits in: "futex", "poll"
  std::int64_t waited_ns = -1;  // -1: not known
  std::uint32_t label_set = 0;  // the number of `labels`
  stack::label_list labels;
  profile_row stack;  // its frames alone
  std::string note;   // why there is no stack, or not all of it; empty: there is
  std::span<const std::uintptr_t> created_at;  // return addresses; empty: not known
};

// While a dump is made, when its frames are still added to.
struct placed_thread {
  thread_state it;
  std::size_t first_frame = 0, depth = 0;  // of the frames of the dump
};

struct dump_parts {
  std::size_t most_frames;              // of one stack
  std::vector<std::uintptr_t>& frames;  // of all, one after the other
  std::vector<placed_thread>& threads;
};

// A thread that waits for a tracked lock, and who has it.
struct lock_wait {
  static constexpr std::size_t nobody = static_cast<std::size_t>(-1);
  std::size_t waiter = nobody, holder = nobody;  // places in thread_dump::threads
  std::string lock;                              // its name; may be empty
  bool may_give_up = false;                      // after a while
  profile_row taken;                             // where the holder took it: its frames alone
};

struct thread_dump {
  profile_header header;
  std::vector<thread_state> threads;  // the calling one first, then as they were made
  std::vector<lock_wait> waits;
  std::vector<std::vector<std::size_t>> deadlocks;            // each a circle: places in `waits`
  std::shared_ptr<const std::vector<std::uintptr_t>> frames;  // which the stacks point into
};

}  // namespace whence::inline v1::core

#endif  // WHENCE_PROFILE_THREAD_STATE_HPP
