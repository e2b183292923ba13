// SPDX-License-Identifier: Apache-2.0
//
// What coroutines add to the profiles of threads: only four functions are known here, so that a
// program without tracked coroutines does not include the rest. The first coroutine hangs them from
// the root, in a module that then stays loaded.
#ifndef WHENCE_PROFILE_COROUTINE_ROOT_HPP
#define WHENCE_PROFILE_COROUTINE_ROOT_HPP

#include <cstddef>

namespace whence::inline v1::core {

struct process_state;
template <class>
class basic_waits_in_progress;
class coroutine_records;
struct dump_parts;

// Those that take a const state throw std::bad_alloc.
struct coroutine_root {
  std::size_t (*count)(const process_state&);  // the coroutines that `goroutine` shows
  void (*add_waits)(const process_state&, basic_waits_in_progress<void>&);
  void (*add_stacks)(const process_state&, const dump_parts&);
  void (*forget_other_threads)(process_state&);  // in a child of fork; never throws
  coroutine_records* records;
};

}  // namespace whence::inline v1::core

#endif  // WHENCE_PROFILE_COROUTINE_ROOT_HPP
