// SPDX-License-Identifier: Apache-2.0
//
// The table that recording pages call through (instruments/recorder.hpp), and the code that
// publishes it. It comes into a module with the pages that read.
#ifndef WHENCE_RECORD_RECORDING_HPP
#define WHENCE_RECORD_RECORDING_HPP

#include <cstdint>

#include <whence/core/counters.hpp>
#include <whence/core/profile.hpp>
#include <whence/instruments/recorder.hpp>
#include <whence/record/birth.hpp>
#include <whence/record/change_setting.hpp>
#include <whence/record/event.hpp>
#include <whence/record/heap.hpp>
#include <whence/record/labels.hpp>
#include <whence/record/lock.hpp>
#include <whence/record/predefined.hpp>
#include <whence/record/sized_heap.hpp>
#include <whence/record/suspension.hpp>
#include <whence/record/wait.hpp>
#include <whence/state/attach.hpp>
#include <whence/state/fork.hpp>
#include <whence/state/process_state.hpp>
#include <whence/sys/atomic_word.hpp>
#include <whence/tables/bucket.hpp>

namespace whence::inline v1 {

namespace record {

// Does the work of instruments::entry::begin.
inline sys::atomic_word<std::int64_t>* begin_entry(profile& p, const void* caller) noexcept {
  tables::bucket* const b = record_stack_inlined(state::attached(), p.rows(), {}, caller);
  if (b == nullptr) return nullptr;
  b->add(core::live_counter, 1);
  return &b->counters[core::live_counter];
}

}  // namespace record

namespace instruments {

// Hidden, because each module has its own.
inline constinit const recorder recording{.prepare = &state::prepare_module,
                                          .predefined = &record::predefined,
                                          .find_or_make = &record::find_or_make,
                                          .due = &record::due_bytes,
                                          .record_block = &record::record_block,
                                          .end_block = &record::end_block,
                                          .join_layer = &record::join_layer,
                                          .due_in_layer = &record::due_in_layer,
                                          .record_sized = &record::record_sized,
                                          .find_sized = &record::find_sized,
                                          .take_sized = &record::take_sized,
                                          .settle_sized = &record::settle_sized,
                                          .begin_entry = &record::begin_entry,
                                          .name_wait = &record::name_wait,
                                          .begin_wait = &record::begin_wait,
                                          .end_wait = &record::end_wait,
                                          .abandon_wait = &record::abandon_wait,
                                          .begin_hold = &record::begin_hold,
                                          .charge = &record::charge,
                                          .record_delay = &record::record_delay,
                                          .record_hold = &record::record_hold,
                                          .begin_birth = &record::begin_birth,
                                          .cancel_birth = &record::cancel_birth,
                                          .adopt_birth = &record::adopt_birth,
                                          .name_thread = &record::name_thread,
                                          .this_thread = &record::this_thread,
                                          .intern_labels = &record::intern_labels,
                                          .merge_labels = &record::merge_labels,
                                          .labels_of = &record::labels_of,
                                          .begin_coroutine = &record::begin_coroutine,
                                          .end_coroutine = &record::end_coroutine,
                                          .suspend = &record::suspend,
                                          .resume = &record::resume,
                                          .await = &record::await,
                                          .set = &record::set};

}  // namespace instruments

}  // namespace whence::inline v1

#endif  // WHENCE_RECORD_RECORDING_HPP
