// SPDX-License-Identifier: Apache-2.0
//
// What coroutines add to the profiles of threads: only four functions are known here, so that a
// program without tracked coroutines does not include the rest. The first coroutine hangs them from
// the root, in a module that then stays loaded.
#ifndef WHENCE_STATE_COROUTINE_ROOT_HPP
#define WHENCE_STATE_COROUTINE_ROOT_HPP

#include <cstddef>

namespace whence::inline v1::snapshots {
struct dump_parts;
template <class>
class basic_waits_in_progress;
}  // namespace whence::inline v1::snapshots

namespace whence::inline v1::tables {
class coroutine_records;
}  // namespace whence::inline v1::tables

namespace whence::inline v1::state {

struct process_state;

// Those that take a const state throw std::bad_alloc.
struct coroutine_root {
  std::size_t (*count)(const process_state&);  // the coroutines that `goroutine` shows
  void (*add_waits)(const process_state&, snapshots::basic_waits_in_progress<void>&);
  void (*add_stacks)(const process_state&, const snapshots::dump_parts&);
  void (*forget_other_threads)(process_state&);  // in a child of fork; never throws
  tables::coroutine_records* records;
};

}  // namespace whence::inline v1::state

#endif  // WHENCE_STATE_COROUTINE_ROOT_HPP
