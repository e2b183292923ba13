// SPDX-License-Identifier: Apache-2.0
//
// The creation, the name and the record of a thread, for instruments/birth.hpp and
// thread_words.hpp. Thread-safe; not for signal handlers.
#ifndef WHENCE_RECORD_BIRTH_HPP
#define WHENCE_RECORD_BIRTH_HPP

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include <whence/core/profile.hpp>
#include <whence/instruments/birth.hpp>
#include <whence/instruments/thread_words.hpp>
#include <whence/record/event.hpp>
#include <whence/record/labels.hpp>
#include <whence/state/attach.hpp>
#include <whence/state/process_state.hpp>
#include <whence/state/thread_labels.hpp>
#include <whence/tables/bucket.hpp>
#include <whence/tables/label_sets.hpp>
#include <whence/tables/thread_records.hpp>

namespace whence::inline v1::record {

// Gives the calling thread a name: the label `thread` over those in force.
inline void name_this_thread(state::process_state& s, std::uint32_t name) noexcept {
  tables::thread_record* const r = state::record_of_this_thread(s);
  if (r == nullptr || name == tables::label_sets::none || name == tables::label_sets::overflow) {
    return;
  }
  r->name.store(name, std::memory_order_relaxed);
  r->labels.store(merge_labels(r->labels.load(std::memory_order_relaxed), name),
                  std::memory_order_release);
}

inline std::uint32_t name_set(state::process_state& s, std::string_view name) noexcept {
  if (name.empty()) return tables::label_sets::none;
  const instruments::label one{"thread", name};
  return s.labels.intern({&one, 1});
}

inline void name_thread(const char* name, std::size_t length) noexcept {
  state::process_state& s = state::attached();
  name_this_thread(s, name_set(s, {name, length}));
}

inline void begin_birth(instruments::birth_words& b, profile& threadcreate, const char* name,
                        std::size_t length, const void* caller) noexcept {
  state::process_state& s = state::attached();
  b.labels = state::label_word_of_this_thread(s);
  b.name = name_set(s, {name, length});
  tables::bucket* const created = record_stack(s, threadcreate.rows(), {}, caller);
  if (created != nullptr) created->add(0, 1);
  b.created = created;
}

inline void cancel_birth(instruments::birth_words& b) noexcept {
  if (b.created != nullptr) static_cast<tables::bucket*>(b.created)->add(0, -1);
  b.created = nullptr;
}

// The new thread calls this.
inline void adopt_birth(instruments::birth_words& b) noexcept {
  state::process_state& s = state::attached();
  tables::thread_record* const r = state::record_of_this_thread(s);
  if (r == nullptr) return cancel_birth(b);
  r->labels.store(b.labels, std::memory_order_release);
  r->created.store(static_cast<tables::bucket*>(b.created), std::memory_order_relaxed);
  name_this_thread(s, b.name);
  // Announces the thread to the samplers, which then need not find it.
  s.guests.call(&state::guest::on_thread_start, s);
}

inline instruments::thread_words* this_thread(bool make) noexcept {
  state::process_state& s = state::attached();
  return make ? state::record_of_this_thread(s) : state::this_thread(s);
}

}  // namespace whence::inline v1::record

#endif  // WHENCE_RECORD_BIRTH_HPP
