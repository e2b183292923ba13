// SPDX-License-Identifier: Apache-2.0
//
// The labels in force on the calling thread: one word in its record, which its own signal handlers
// and other threads may read at any moment.
#ifndef WHENCE_PROFILE_THREAD_LABELS_HPP
#define WHENCE_PROFILE_THREAD_LABELS_HPP

#include <atomic>
#include <cstdint>

#include <whence/profile/process_state.hpp>
#include <whence/profile/thread_records.hpp>
#include <whence/stack/label_sets.hpp>

namespace whence::inline v1::core {

// The calling thread's record; nullptr if it has none yet. Signal-safe.
inline thread_record* this_thread(const process_state& s) noexcept {
  // The root is mostly in this module: then the thread's variable is reached without a call.
  const own_record& own = &s == &own_state ? record_in_this_module : s.threads.own();
  return own.load(std::memory_order_relaxed);
}

// The same, but takes one if it is missing; nullptr if memory is exhausted. Not signal-safe.
inline thread_record* record_of_this_thread(process_state& s) noexcept {
  thread_record* const r = this_thread(s);
  return r != nullptr ? r : s.threads.take();
}

// Signal-safe.
inline std::uint32_t labels_of_this_thread(const process_state& s) noexcept {
  const thread_record* const r = this_thread(s);
  return r == nullptr ? stack::label_sets::none : r->labels.load(std::memory_order_relaxed);
}

}  // namespace whence::inline v1::core

#endif  // WHENCE_PROFILE_THREAD_LABELS_HPP
