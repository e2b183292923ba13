// SPDX-License-Identifier: Apache-2.0
//
// The labels in force on the calling thread: one word in its record, which its own signal handlers
// and other threads may read at any moment.
#ifndef WHENCE_STATE_THREAD_LABELS_HPP
#define WHENCE_STATE_THREAD_LABELS_HPP

#include <atomic>
#include <cstdint>

#include <whence/instruments/label_word.hpp>
#include <whence/state/process_state.hpp>
#include <whence/tables/label_sets.hpp>
#include <whence/tables/thread_records.hpp>

namespace whence::inline v1::state {

// The calling thread's record; nullptr if it has none yet. Signal-safe.
inline tables::thread_record* this_thread(const process_state& s) noexcept {
  // The root is mostly in this module: then the thread's variable is reached without a call.
  const tables::own_record& own =
      &s == &own_state ? tables::record_in_this_module : s.threads.own();
  return own.load(std::memory_order_relaxed);
}

// The same, but takes one if it is missing; nullptr if memory is exhausted. Not signal-safe.
inline tables::thread_record* record_of_this_thread(process_state& s) noexcept {
  tables::thread_record* const r = this_thread(s);
  return r != nullptr ? r : s.threads.take();
}

// Those in force, as instruments::label_word. Signal-safe.
inline std::uint64_t label_word_of_this_thread(const process_state& s) noexcept {
  const tables::thread_record* const r = this_thread(s);
  return r == nullptr ? 0 : r->labels.load(std::memory_order_relaxed);
}

// The set that is kept for the life of the process. Signal-safe.
inline std::uint32_t labels_of_this_thread(const process_state& s) noexcept {
  return instruments::label_number_in(label_word_of_this_thread(s));
}

}  // namespace whence::inline v1::state

#endif  // WHENCE_STATE_THREAD_LABELS_HPP
